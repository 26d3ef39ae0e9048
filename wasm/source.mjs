// Where a model comes from. describeSource() turns what the user gave into a plain description that can be posted to a
// worker, { configs: [part], weights: part }; loadSource() reads it into the engine.
// A part has a name for messages and one of: url, blob, bytes, text, stream, chunks.

import { VitError, throwIfCancelled, unlessCancelled } from './errors.mjs'
import { breathe, files, pathToFileURL } from './host.mjs'

const PIECE = 1 << 20 // how much is given to the engine at a time
const TURN = 12 // ms of work before the event loop gets a turn

// ---- Describing

export async function describeSource(source) {
  if (typeof source === 'string' || source instanceof URL) return describeUrl(await absolute(source))
  if (source && typeof source === 'object' && 'weights' in source) {
    const { weights } = await describeSource(source.weights)
    return { configs: await Promise.all([source.config ?? []].flat().map(describeConfig)), weights }
  }
  const part = describeBytes(source, 'weights')
  if (!part) throw new VitError('argument', `a model source is a URL, Blob, ArrayBuffer, typed array, ReadableStream or { config, weights }, not ${kind(source)}`)
  return { configs: [], weights: part }
}

const kind = (value) => (value === null ? 'null' : (value?.constructor?.name ?? typeof value))

function describeBytes(source, name) {
  if (source instanceof Blob) return { name: source.name || name, blob: source }
  if (source instanceof ArrayBuffer) return { name, bytes: new Uint8Array(source) }
  if (ArrayBuffer.isView(source)) return { name, bytes: new Uint8Array(source.buffer, source.byteOffset, source.byteLength) }
  if (source instanceof ReadableStream) return { name, stream: source }
}

// A URL, JSON text, its bytes, or the object that it says.
async function describeConfig(config) {
  if (typeof config === 'string' && config.trimStart().startsWith('{')) return { name: 'config', text: config }
  if (typeof config === 'string' || config instanceof URL) return describeFile(await absolute(config))
  const part = describeBytes(config, 'config')
  if (part) return part
  if (config && typeof config === 'object') return { name: 'config', text: JSON.stringify(config) }
  throw new VitError('argument', `a model's config is a URL, JSON text, a Blob, bytes or an object, not ${kind(config)}`)
}

// In Node what is not a URL is a path.
async function absolute(source) {
  try {
    return new URL(source, globalThis.document?.baseURI ?? globalThis.location?.href)
  } catch {
    if (pathToFileURL) return pathToFileURL(source)
    throw new VitError('argument', `'${source}' is not a URL`)
  }
}

const describeFile = (url) => ({ name: url.href, url: url.href })

async function describeUrl(given) {
  let url = resolveHub(given)
  if (url.protocol === 'file:' && (await isFolder(url))) url = new URL(url.href.replace(/\/*$/, '/'))
  if (url.pathname.endsWith('/')) url = new URL('model.safetensors', url)
  if (!url.pathname.endsWith('.safetensors')) return { configs: [], weights: describeFile(url) }
  // safetensors holds tensors only: what they mean stands beside it.
  const preprocessor = describeFile(new URL('preprocessor_config.json', url))
  return { configs: [describeFile(new URL('config.json', url)), { ...preprocessor, optional: true }], weights: describeFile(url) }
}

// What a model's or a file's page on the Hugging Face hub is about.
function resolveHub(url) {
  const [, owner, name, verb, revision = 'main', ...path] = url.pathname.split('/')
  if (url.hostname !== 'huggingface.co' || !name) return url
  if (verb === 'tree' && path.at(-1)) path.push('')
  return new URL(`/${owner}/${name}/resolve/${revision}/${path.join('/')}`, url)
}

const isFolder = (url) => files.stat(url).then((stat) => stat.isDirectory(), () => false)

// ---- Reading

// Reads all parts into the engine that opening brings. onProgress({ phase, loaded, total }): total is undefined while it
// is not known. onPiece(wasm) is called after each piece of the weights; others get a turn where it returns something.
export async function loadSource(source, opening, { signal, onProgress = () => {}, onPiece }) {
  const opened = openPart(source.weights, signal)
  const reading = readConfigs(source.configs, opened, signal, onProgress)
  reading.catch(() => {}) // it is awaited, but the weights' errors come first
  const weights = await opened
  try {
    const [configs, wasm] = await Promise.all([reading, opening])
    wasm.begin(source.weights.name)
    for (const { name, bytes } of configs) wasm.config(name, bytes)
    await pushWeights(wasm, source.weights.name, weights, signal, onProgress, onPiece)
  } catch (error) {
    weights.cancel?.().catch(() => {})
    throw error
  }
}

async function pushWeights(wasm, name, { total, chunks }, signal, onProgress, onPiece) {
  let loaded = 0
  let turn = performance.now()
  onProgress({ phase: 'weights', loaded, total })
  for await (const chunk of chunks) {
    if (!ArrayBuffer.isView(chunk)) throw new VitError('argument', `${name}: the stream must hold bytes, not ${kind(chunk)}`)
    const bytes = new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    for (let at = 0; at < bytes.length; at += PIECE) {
      const piece = bytes.subarray(at, at + PIECE)
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
  if (loaded < total) throw truncated(name, loaded, total)
  wasm.finish()
  onPiece(wasm)
  if (loaded !== total) onProgress({ phase: 'weights', loaded, total: loaded })
}

const truncated = (name, loaded, total, cause) =>
  new VitError('truncated', `${name}: the file ended after ${loaded} of ${total} bytes`, { cause })

async function readConfigs(parts, opened, signal, onProgress) {
  const configs = []
  for (const part of parts) {
    // timm's config already says what a preprocessor_config would.
    if (part.optional && configs.some(({ text }) => text.includes('"pretrained_cfg"'))) continue
    const bytes = await readConfig(part, signal)
    if (!bytes) continue
    configs.push({ name: part.name, bytes, text: new TextDecoder().decode(bytes) })
    await opened // where there are no weights, no progress is told
    onProgress({ phase: 'config', loaded: bytes.length, total: bytes.length })
  }
  return configs
}

// undefined for an optional config that is not there, though a server may answer with a page.
async function readConfig(part, signal) {
  const pieces = []
  try {
    for await (const chunk of (await openPart(part, signal)).chunks) pieces.push(new Blob([chunk]))
  } catch (error) {
    if (part.optional && (error.code === 'http' || error.code === 'io')) return
    throw error
  }
  const bytes = new Uint8Array(await new Blob(pieces).arrayBuffer())
  if (!new TextDecoder().decode(bytes.subarray(0, 99)).trimStart().startsWith('<')) return bytes
  if (!part.optional) throw new VitError('format', `${part.name}: an HTML page came instead of a config`)
}

// { total, chunks, cancel }: the number of bytes, where it is known; an async iterable of them, each of which is overwritten
// by the next; and how to stop what never was iterated.
async function openPart(part, signal) {
  throwIfCancelled(signal)
  const { name, url, blob, stream, chunks } = part
  if (url?.startsWith('file:')) return openFile(name, new URL(url), signal)
  if (url) return openUrl(name, url, signal)
  if (blob) return { total: blob.size, chunks: watch(iterate(blob.stream(), signal), signal, unreadable(name)) }
  if (stream) return { chunks: readStream(name, stream, signal), cancel: () => stream.cancel() }
  if (chunks) return { total: part.total, chunks }
  const bytes = part.bytes ?? new TextEncoder().encode(part.text)
  return { total: bytes.length, chunks: [bytes] }
}

async function openFile(name, path, signal) {
  try {
    const file = await files.stat(path)
    if (file.isDirectory()) throw new Error('it is a folder')
    return { total: file.size, chunks: watch(readFile(path), signal, unreadable(name)) }
  } catch (error) {
    throw new VitError('io', `${name}: ${error.code === 'ENOENT' ? 'there is no such file' : error.message}`, { cause: error })
  }
}

// Open only while it is read: a generator that is never asked opens nothing.
async function* readFile(path) {
  const file = await files.open(path)
  const piece = new Uint8Array(PIECE)
  try {
    for (;;) {
      const { bytesRead, buffer } = await file.read(piece, 0, PIECE)
      if (!bytesRead) return
      yield buffer.subarray(0, bytesRead)
    }
  } finally {
    await file.close()
  }
}

async function openUrl(name, url, signal) {
  let response
  try {
    response = await fetch(url, { signal })
  } catch (error) {
    throwIfCancelled(signal)
    throw new VitError('http', `${name}: no answer (${error.cause?.message ?? error.message}); the network, or a server that does not let this page read it (CORS)`, { cause: error })
  }
  const cancel = async () => response.body?.cancel()
  if (!response.ok) {
    cancel().catch(() => {})
    throw new VitError('http', `${name}: HTTP ${response.status} ${response.statusText}`.trimEnd())
  }
  // Content-Length counts bytes on the wire: of a compressed answer it says nothing about the file.
  const length = response.headers.has('content-encoding') ? 0 : Number(response.headers.get('content-length'))
  const total = length || undefined
  const broken = (loaded, error) =>
    total ? truncated(name, loaded, total, error) : new VitError('http', `${name}: the connection broke after ${loaded} bytes`, { cause: error })
  return { total, chunks: watch(iterate(response.body, signal), signal, broken), cancel }
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

export const readStream = (name, stream, signal) => watch(iterate(stream, signal), signal, unreadable(name))

// Where the host can, always into the same buffer: that is faster, and leaves nothing to the garbage collector.
async function* iterate(stream, signal) {
  let reader, room
  try {
    reader = stream.getReader({ mode: 'byob' })
    room = new Uint8Array(PIECE)
  } catch {
    reader = stream.getReader()
  }
  try {
    for (;;) {
      const { value, done } = await unlessCancelled(reader.read(room), signal)
      if (done) return
      yield value
      room &&= new Uint8Array(value.buffer)
    }
  } finally {
    reader.cancel().catch(() => {})
  }
}
