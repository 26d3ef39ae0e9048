// What the npm package consists of:  node tests/pack.mjs LIST VERSION-OF-EMCC VERSION-OF-ESBUILD OUT.spdx.json
// LIST: what `npm pack --json` printed. Prints hashes for the integrity attribute, writes a bill of materials (SPDX 2.3), which is
// the same for the same files.

import { createHash } from 'node:crypto'
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'

const [list, emcc, esbuild, out] = process.argv.slice(2)
const [{ name, version, files }] = JSON.parse(readFileSync(list))
const hash = (algorithm, bytes, encoding = 'hex') => createHash(algorithm).update(bytes).digest(encoding)
const paths = files.map(({ path }) => path).sort()
for (const path of paths.filter((one) => /\.(js|mjs|wasm)$/.test(one)))
  console.log(`sha384-${hash('sha384', readFileSync(path), 'base64')}  ${path}`)

const idOf = (path) => `SPDXRef-File-${path.replace(/[^A-Za-z0-9.]+/g, '-')}`
const described = paths.map((path) => {
  const bytes = readFileSync(path)
  const checksums = ['sha1', 'sha256'].map((algorithm) => ({ algorithm: algorithm.toUpperCase(), checksumValue: hash(algorithm, bytes) }))
  return { SPDXID: idOf(path), fileName: `./${path}`, checksums, licenseConcluded: 'MIT', copyrightText: 'NOASSERTION' }
})
const sums = described.map(({ checksums }) => checksums[0].checksumValue).sort().join('')
const part = (id, name, versionInfo, licence, more) => ({
  SPDXID: `SPDXRef-${id}`, name, versionInfo, downloadLocation: 'NOASSERTION', filesAnalyzed: false, licenseConcluded: licence, licenseDeclared: licence, copyrightText: 'NOASSERTION', ...more
})

// When the sources were last changed, in seconds; 1970 where git cannot tell.
function changed() {
  try {
    return execFileSync('git', ['log', '-1', '--format=%ct'], { stdio: ['ignore', 'pipe', 'ignore'] }).toString().trim()
  } catch {
    return 0
  }
}

const document = {
  spdxVersion: 'SPDX-2.3', dataLicense: 'CC0-1.0', SPDXID: 'SPDXRef-DOCUMENT', name: `${name}-${version}`,
  documentNamespace: `https://spdx.org/spdxdocs/${name}-${version}-${hash('sha256', sums).slice(0, 32)}`,
  creationInfo: { created: new Date(1000 * Number(process.env.SOURCE_DATE_EPOCH ?? changed())).toISOString().replace('.000', ''), creators: [`Tool: ${name} build.sh`] },
  packages: [
    part('Package', name, version, 'MIT', { filesAnalyzed: true, packageVerificationCode: { packageVerificationCodeValue: hash('sha1', sums) } }),
    part('stb-image', 'stb_image', '2.30', 'MIT OR Unlicense'),
    part('emscripten', 'emscripten', emcc, 'MIT OR NCSA'),
    part('esbuild', 'esbuild', esbuild, 'MIT')
  ],
  files: described,
  relationships: [
    ['SPDXRef-DOCUMENT', 'DESCRIBES', 'SPDXRef-Package'], ['SPDXRef-Package', 'CONTAINS', 'SPDXRef-stb-image'],
    ['SPDXRef-emscripten', 'BUILD_TOOL_OF', 'SPDXRef-Package'], ['SPDXRef-esbuild', 'BUILD_TOOL_OF', 'SPDXRef-Package'],
    ...described.map(({ SPDXID }) => ['SPDXRef-Package', 'CONTAINS', SPDXID])
  ].map(([spdxElementId, relationshipType, relatedSpdxElement]) => ({ spdxElementId, relationshipType, relatedSpdxElement }))
}
writeFileSync(out, JSON.stringify(document, null, 2) + '\n')
console.log(`${out}: ${described.length} files of ${name} ${version}`)
