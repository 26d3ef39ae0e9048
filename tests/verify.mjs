// Whether a packed package is what its bill of materials says:  node tests/verify.mjs PACKAGE.tgz BILL.spdx.json
// Then, as a check of the check, whether one that was changed would be noticed.

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'

const [tarball, bill] = process.argv.slice(2)

// Files of a tar as npm packs it: { './path in the package': bytes }.
function unpack(tar) {
  const files = {}
  const text = (at, length) => tar.toString('utf8', at, at + length).replace(/\0.*/s, '')
  for (let at = 0; at + 512 <= tar.length && tar[at]; ) {
    const path = [text(at + 345, 155), text(at, 100)].filter(Boolean).join('/')
    const size = parseInt(text(at + 124, 12), 8)
    if ([0, 48].includes(tar[at + 156])) files[path.replace(/^package\//, './')] = tar.subarray(at + 512, at + 512 + size)
    at += 512 + Math.ceil(size / 512) * 512
  }
  return files
}

// What differs, a line each.
function compare(files, { files: listed }) {
  const wrong = []
  for (const { fileName, checksums } of listed) {
    if (!files[fileName]) wrong.push(`${fileName} is missing`)
    else for (const { algorithm, checksumValue } of checksums)
      if (createHash(algorithm.toLowerCase()).update(files[fileName]).digest('hex') !== checksumValue) wrong.push(`${fileName}: its ${algorithm} is another`)
  }
  const names = new Set(listed.map(({ fileName }) => fileName))
  return [...wrong, ...Object.keys(files).filter((path) => !names.has(path)).map((path) => `${path} is not in the bill`)]
}

const document = JSON.parse(readFileSync(bill))
const files = unpack(gunzipSync(readFileSync(tarball)))
const wrong = compare(files, document)
for (const line of wrong) console.log(`FAILED ${line}`)

const [[path, bytes]] = Object.entries(files).filter(([path]) => path.endsWith('.wasm'))
const changed = Buffer.from(bytes)
changed[changed.length >> 1] ^= 1
const { [path]: _, ...less } = files
const noticed = [{ ...files, [path]: changed }, less, { ...files, './more.js': bytes }].filter((one) => compare(one, document).length > wrong.length).length
if (noticed < 3) console.log('FAILED a file that is changed, missing or added is not noticed')
const passed = Object.keys(files).length - wrong.length + noticed, failed = wrong.length + 3 - noticed
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed ? 1 : 0)
