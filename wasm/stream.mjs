// Streams of bytes, read into buffers that are used again: filling them anew is faster than asking for fresh memory, and leaves
// nothing to the garbage collector.

import { throwIfCancelled, unlessCancelled } from './errors.mjs'

export const PIECE = 1 << 19 // how much is read at a time
const SPARE = 8 // buffers at most

export const room = (spare) => new Uint8Array(spare.pop() ?? PIECE)
// A buffer that was transferred away has no bytes.
export const giveBack = (spare, { buffer }) => buffer.byteLength === PIECE && spare.length < SPARE && spare.push(buffer)

// An async iterable of a stream's chunks, each of which is overwritten by the next unless its buffer was transferred. Takes the
// reader now: of a response that nobody reads, Node drops the rest when its object goes.
export function iterate(stream, signal, spare) {
  let reader
  let fill = true // whether the host lets us name the buffer
  try {
    reader = stream.getReader({ mode: 'byob' })
  } catch {
    reader = stream.getReader()
    fill = false
  }
  const cancel = () => reader.cancel().catch(() => {})
  signal.addEventListener('abort', cancel)
  return (async function* () {
    try {
      for (;;) {
        const { value, done } = await unlessCancelled(reader.read(fill ? room(spare) : undefined), signal)
        throwIfCancelled(signal) // a cancelled reader says that it is done
        if (done) return
        yield value
        if (fill) giveBack(spare, value)
      }
    } finally {
      signal.removeEventListener('abort', cancel)
      cancel()
    }
  })()
}
