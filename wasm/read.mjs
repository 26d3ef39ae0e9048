// Reads a source, as describeSource() describes it, where the call is made: on the page, when the engine is in a worker.

import { VitError, throwIfCancelled, unlessCancelled } from './errors.mjs'
import { files } from './host.mjs'

const PIECE = 1 << 19 // how much is read at a time

// All of it begins to come at once:
// - configs: a promise of [{ name, bytes }]
// - weights: an async iterable of { name, total } where a file begins (total: of its bytes, undefined where it is not known)
//   and then of its bytes. They are overwritten by the next, unless their buffer was transferred, which only `ours` may be.
// - giveBack(buffer): a buffer that was transferred, and may be filled again
// - cancel(): ends what is still open
export function openSource({ configs, weights }, signal) {
  const controller = new AbortController()
  const stop = () => controller.abort(signal?.reason)
  if (signal?.aborted) stop()
  signal?.addEventListener('abort', stop)
  const spare = []
  const opened = openPart(weights, controller.signal, spare)
  const reading = readConfigs(configs, opened, controller.signal)
  for (const promise of [opened, reading]) promise.catch(() => {}) // they are awaited, but maybe later
  return {
    configs: reading, weights: read(weights.name, opened), ours: !weights.stream && !weights.bytes,
    giveBack: (buffer) => spare.push(buffer),
    cancel() {
      signal?.removeEventListener('abort', stop)
      controller.abort()
    }
  }
}

async function* read(name, opened) {
  const { total, chunks } = await opened
  let loaded = 0
  yield { name, total }
  for await (const chunk of chunks) {
    if (!ArrayBuffer.isView(chunk)) throw new VitError('argument', `${name}: the stream must hold bytes, not ${chunk?.constructor?.name ?? typeof chunk}`)
    loaded += chunk.byteLength
    yield new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength)
  }
  if (loaded < total) throw truncated(name, loaded, total)
}

const truncated = (name, loaded, total, cause) =>
  new VitError('truncated', `${name}: the file ended after ${loaded} of ${total} bytes`, { cause })

async function readConfigs(parts, opened, signal) {
  const texts = parts.map((part) => readConfig(part, signal))
  texts.forEach((text) => text.catch(() => {}))
  await opened // of two errors the weights' is told
  const configs = []
  for (const [i, { name, optional }] of parts.entries()) {
    // timm's config already says what a preprocessor_config would.
    if (optional && configs.some(({ text }) => text.includes('"pretrained_cfg"'))) continue
    const bytes = await texts[i]
    if (bytes) configs.push({ name, bytes, text: new TextDecoder().decode(bytes) })
  }
  return configs
}

// undefined for an optional config that is not there, though a server may answer with a page.
async function readConfig(part, signal) {
  const pieces = []
  try {
    for await (const chunk of (await openPart(part, signal, [])).chunks) pieces.push(new Blob([chunk]))
  } catch (error) {
    if (part.optional && (error.code === 'http' || error.code === 'io')) return
    throw error
  }
  const bytes = new Uint8Array(await new Blob(pieces).arrayBuffer())
  if (!new TextDecoder().decode(bytes.subarray(0, 99)).trimStart().startsWith('<')) return bytes
  if (!part.optional) throw new VitError('format', `${part.name}: an HTML page came instead of a config`)
}

// { total, chunks }: the number of bytes, where it is known, and an async iterable of them.
async function openPart({ name, url, blob, stream, bytes, text }, signal, spare) {
  throwIfCancelled(signal)
  if (url?.startsWith('file:')) return openFile(name, new URL(url), signal, spare)
  if (url) return openUrl(name, url, signal, spare)
  if (blob) return { total: blob.size, chunks: watch(iterate(blob.stream(), signal, spare), signal, unreadable(name)) }
  if (stream) return { chunks: watch(iterate(stream, signal, spare), signal, unreadable(name)) }
  bytes ??= new TextEncoder().encode(text)
  return { total: bytes.length, chunks: cut(bytes) }
}

async function* cut(bytes) {
  for (let at = 0; at < bytes.length; at += PIECE) yield bytes.subarray(at, at + PIECE)
}

async function openFile(name, path, signal, spare) {
  try {
    const file = await files.stat(path)
    if (file.isDirectory()) throw new Error('it is a folder')
    return { total: file.size, chunks: watch(readFile(path, spare), signal, unreadable(name)) }
  } catch (error) {
    throw new VitError('io', `${name}: ${error.code === 'ENOENT' ? 'there is no such file' : error.message}`, { cause: error })
  }
}

// Open only while it is read: a generator that is never asked opens nothing.
async function* readFile(path, spare) {
  const file = await files.open(path)
  try {
    for (;;) {
      const { bytesRead, buffer } = await file.read(room(spare), 0, PIECE)
      if (!bytesRead) return
      yield buffer.subarray(0, bytesRead)
      giveBack(spare, buffer)
    }
  } finally {
    await file.close()
  }
}

async function openUrl(name, url, signal, spare) {
  let response
  try {
    response = await fetch(url, { signal })
  } catch (error) {
    throwIfCancelled(signal)
    throw new VitError('http', `${name}: no answer (${error.cause?.message ?? error.message}); the network, or a server that does not let this page read it (CORS)`, { cause: error })
  }
  if (!response.ok) {
    response.body?.cancel().catch(() => {})
    throw new VitError('http', `${name}: HTTP ${response.status} ${response.statusText}`.trimEnd())
  }
  // Content-Length counts bytes on the wire: of a compressed answer it says nothing about the file.
  const length = response.headers.has('content-encoding') ? 0 : Number(response.headers.get('content-length'))
  const total = length || undefined
  const broken = (loaded, error) =>
    total ? truncated(name, loaded, total, error) : new VitError('http', `${name}: the connection broke after ${loaded} bytes`, { cause: error })
  return { total, chunks: watch(iterate(response.body, signal, spare), signal, broken) }
}

// broken(loaded, error) makes the error of reading that breaks off.
async function* watch(chunks, signal, broken) {
  let loaded = 0
  try {
    for await (const chunk of chunks) {
      loaded += chunk?.length ?? 0
      yield chunk
    }
  } catch (error) {
    throwIfCancelled(signal)
    throw broken(loaded, error)
  }
}

const unreadable = (name) => (loaded, error) => new VitError('io', `${name}: reading failed after ${loaded} bytes: ${error?.message ?? error}`, { cause: error })

// Buffers that were read into and are free again: filling them anew is faster than asking for fresh memory, and leaves nothing
// to the garbage collector.
const room = (spare) => new Uint8Array(spare.pop() ?? PIECE)
const giveBack = (spare, { buffer }) => buffer.byteLength === PIECE && spare.push(buffer) // a transferred one has no bytes

// Takes the reader now: of a response that nobody reads, Node drops the rest when its object goes.
function iterate(stream, signal, spare) {
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
      cancel()
    }
  })()
}
