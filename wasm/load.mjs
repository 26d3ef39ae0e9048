// What openSource() reads goes into the engine.

import { throwIfCancelled } from './errors.mjs'
import { breathe } from './host.mjs'

const PIECE = 1 << 20 // how much is given to the engine at a time
const TURN = 12 // ms of work before the event loop gets a turn

// opening: a promise of the engine. onProgress({ phase, loaded, total }): total is undefined while it is not known.
// onPiece(wasm) is called after each piece of the weights; others get a turn where it returns something.
export async function loadSource({ configs, weights }, opening, { signal, onProgress = () => {}, onPiece }) {
  const read = await configs
  for (const { bytes } of read) onProgress({ phase: 'config', loaded: bytes.length, total: bytes.length })
  const wasm = await opening
  let loaded = 0
  let total
  let turn = performance.now()
  for await (const part of weights) {
    if (!ArrayBuffer.isView(part)) {
      total = part.total
      wasm.begin(part.name)
      for (const { name, bytes } of read) wasm.config(name, bytes)
      onProgress({ phase: 'weights', loaded, total })
      continue
    }
    for (let at = 0; at < part.length; at += PIECE) {
      const piece = part.subarray(at, at + PIECE)
      wasm.push(piece)
      loaded += piece.length
      const woken = onPiece(wasm)
      onProgress({ phase: 'weights', loaded, total: loaded > total ? undefined : total })
      if (woken || performance.now() - turn > TURN) {
        await breathe()
        turn = performance.now()
      }
      throwIfCancelled(signal)
    }
  }
  wasm.finish()
  onPiece(wasm)
  if (loaded !== total) onProgress({ phase: 'weights', loaded, total: loaded })
}
