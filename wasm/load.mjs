// What openSource() reads goes into the engine.

import { VitError, throwIfCancelled, unlessCancelled } from './errors.mjs'
import { breathe } from './host.mjs'
import { Sha256 } from './sha256.mjs'

const PIECE = 1 << 20 // how much is given to the engine at a time
const TURN = 12 // ms of work before the event loop gets a turn

// opening: a promise of the engine. onProgress({ phase, loaded, total }): total is undefined while it is not known.
// onPiece(wasm) is called after each piece of the weights; others get a turn where it returns something.
// sha256: what the file of weights must have, in hexadecimal.
export async function loadSource(source, opening, { signal, onProgress = () => {}, onPiece, sha256 }) {
  const [{ name, configs, index }, wasm] = await unlessCancelled(Promise.all([source.head, opening]), signal) // either may fail before the other is there
  for (const { bytes } of configs) onProgress({ phase: 'config', loaded: bytes.length, total: bytes.length })
  if (sha256 && index) throw new VitError('argument', `${index.name}: the option sha256 is of one file, and these are several`)
  const hash = sha256 && new Sha256()
  wasm.begin(name)
  for (const { name, bytes } of configs) wasm.config(name, bytes)
  if (index) wasm.index(index.name, index.bytes)
  let total = index && totalSize(index.bytes)
  let loaded = 0
  let turn = performance.now()

  // Gives the engine what it wants of these bytes of the file; returns the rest.
  async function push(bytes, file) {
    while (bytes.length && (wasm.wanted() ?? file) === file) {
      const count = wasm.push(bytes.subarray(0, PIECE))
      hash?.update(bytes.subarray(0, count))
      bytes = bytes.subarray(count)
      loaded += count
      const woken = onPiece(wasm)
      onProgress({ phase: 'weights', loaded, total: loaded > total ? undefined : total })
      if (woken || performance.now() - turn > TURN) {
        await breathe()
        turn = performance.now()
      }
      throwIfCancelled(signal)
    }
    return bytes
  }

  // Files are read as the engine asks for them: of several, first each one's header.
  const files = new Map() // name -> { parts, rest }
  for (let file = ''; ; ) {
    file = wasm.wanted() ?? file // what follows when nothing is wanted any more, the engine refuses
    let of = files.get(file)
    if (!of) {
      files.set(file, (of = { parts: source.open(file), rest: new Uint8Array() }))
      const { value } = await of.parts.next()
      total = index ? total : value.total
      if (files.size === 1) onProgress({ phase: 'weights', loaded, total })
    }
    if (!of.rest.length) {
      const { value, done } = await of.parts.next()
      if (done) break
      of.rest = value
    }
    of.rest = await push(of.rest, file)
  }
  wasm.finish()
  for (const [file, { parts, rest }] of files)
    if (rest.length || !(await parts.next()).done) throw new VitError('format', `${name}: ${file} goes on after its last tensor`)
  const found = hash?.digest()
  if (found !== sha256?.toLowerCase()) throw new VitError('checksum', `${name}: its SHA-256 is ${found}, expected ${sha256}`)
  onPiece(wasm)
  if (loaded !== total) onProgress({ phase: 'weights', loaded, total: loaded })
}

// What an index says of the bytes of all its files, which is without their headers.
function totalSize(bytes) {
  try {
    const size = JSON.parse(new TextDecoder().decode(bytes)).metadata.total_size
    return Number.isSafeInteger(size) && size > 0 ? size : undefined
  } catch {} // the engine tells what is wrong
}
