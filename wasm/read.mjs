// Reads a source, as describeSource() describes it, where the call is made: on the page, when the engine is in a worker.

import { answer, forget, keep, kept } from './cache.mjs'
import { VitError, kind, throwIfCancelled } from './errors.mjs'
import { files } from './host.mjs'
import { openUrl } from './http.mjs'
import { PIECE, giveBack, iterate, room } from './stream.mjs'

// What a folder may have, the first that it has counts: of files as open.c has it; of addresses, where asking takes time, what is likeliest.
const FILES = ['model.gguf', 'model.safetensors', 'model.safetensors.index.json', 'model.npz']
const ADDRESSES = ['model.safetensors', 'model.safetensors.index.json', 'model.gguf', 'model.npz']

// Says of files that they are, by themselves or together. One with a cause says it of a connection.
const WRONG = ['checksum', 'format', 'truncated', 'config', 'shape', 'missing-tensor']
const isWrong = (error) => WRONG.includes(error?.code) && !error.cause

// All of it begins to come at once:
// - head: a promise of { name, configs, index }: of the model, for messages; configs and index (of weights in several files, else
//   undefined) are { name, bytes }
// - open(file): an async iterable of { total } (of the file's bytes, undefined where it is not known) and then of its
//   bytes. They are overwritten by the next, unless their buffer was transferred, which only `ours` may be. file: as the index
//   names it, '' for the only one
// - giveBack(buffer): a buffer that was transferred, and may be filled again
// - end(error): ends what is still open. error: why the model was not loaded. A promise, of what came being kept
// limits: configs and indexes over limits.configBytes are refused before they are whole.
export function openSource(source, { signal, cache, limits } = {}) {
  const controller = new AbortController()
  const stop = () => controller.abort(signal?.reason)
  if (signal?.aborted) stop()
  signal?.addEventListener('abort', stop)
  const { weights } = source
  const urls = [] // what was read
  const opened = []
  const reader = { signal: controller.signal, cache, urls, spare: [], most: limits?.configBytes ?? 8 << 20 }
  const located = locate(weights, reader)
  const head = readHead(source, located, reader)
  for (const promise of [located, head]) promise.catch(() => {}) // they are awaited, but maybe later
  return {
    head, ours: !weights.stream && !weights.bytes,
    open(file) {
      opened.push(readFrom(located, file, reader))
      return opened.at(-1)
    },
    giveBack: (buffer) => giveBack(reader.spare, { buffer }),
    async end(error) {
      signal?.removeEventListener('abort', stop)
      controller.abort()
      const closed = Promise.allSettled([...opened.map((parts) => parts.return()), located.then(({ opened }) => opened.close?.())])
      if (cache) await answer(closed)
      // What is no model may be another the next time.
      if (cache && isWrong(error)) await Promise.all(urls.map(forget))
    }
  }
}

const ending = (url, ...names) => names.some((name) => url && new URL(url).pathname.endsWith(name))
const isIndex = (url) => ending(url, '.index.json')

// Which file has the weights, or the index of the files that have: { name, index, opened }.
async function locate({ folder, ...part }, reader) {
  if (!folder) return { name: part.name, index: isIndex(part.url), opened: await openPart(part, reader) }
  const names = part.url.startsWith('file:') ? FILES : ADDRESSES
  const all = names.map((file) => new URL(file, part.url).href)
  const before = reader.cache ? await Promise.all(all.map((url) => kept(url).then((file) => file?.isWhole))) : []
  let missing
  for (const name of before.some(Boolean) ? all.filter((_, i) => before[i]) : all) {
    try {
      const opened = await openPart({ name, url: name }, reader)
      if (!opened.isPage) return { name, index: isIndex(name), opened }
      missing ??= new VitError('format', `${name}: an HTML page came instead of a model`)
    } catch (error) {
      if (!isGone(error)) throw error
      missing ??= error
    }
  }
  throw new VitError(missing.code, `${part.name}: the folder has none of ${names.join(', ')}: ${missing.message}`, { cause: missing.cause })
}

const isGone = ({ cause }) => ['ENOENT', 'ENOTDIR', 404, 410].includes(cause?.code ?? cause?.status)

// Whether a file that may be missing is: stores answer 403 for what they do not have, and some servers nothing that a page of another
// origin may read.
const isAbsent = (error) => isGone(error) || (error.code === 'http' && [403, undefined].includes(error.cause?.status))

function bytesIn(name, chunk) {
  if (!ArrayBuffer.isView(chunk)) throw new VitError('argument', `${name}: the stream must hold bytes, not ${kind(chunk)}`)
  return new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength)
}

async function* readFrom(located, file, reader) {
  const { name, opened } = await located
  const url = file && new URL(file, name).href
  const { total, chunks } = url ? await openPart({ name: url, url }, reader) : opened
  let loaded = 0
  yield { total }
  for await (const chunk of chunks) {
    const bytes = bytesIn(name, chunk)
    loaded += bytes.length
    yield bytes
  }
  if (loaded < total) throw new VitError('truncated', `${url || name}: the file ended after ${loaded} of ${total} bytes`)
}

async function readHead({ configs, beside }, located, reader) {
  const { most } = reader
  const reading = readConfigs(configs, reader)
  reading.catch(() => {})
  const { name, index, opened } = await located // of two errors the weights' is told
  const head = { name, configs: [], index: index ? { name, bytes: await bytesOf(name, opened, most) } : undefined }
  if (beside && !index && (await saysAll(opened))) return head
  head.configs = await reading.catch((error) => {
    if (beside && ending(name, '.npz') && isAbsent(error)) return [] // it may do without
    throw error
  })
  return head
}

const OWN = '{"__metadata__":{"format":"pt","vit.config":'

// Whether a file says all itself, so that what lies beside it may belong to another: a GGUF, and safetensors as vit_model_save()
// writes it. As open.c has it.
async function saysAll(opened) {
  const { chunks } = opened
  const begun = [] // copies, as the next overwrites each
  let text = ''
  for (let next; text.length < 8 + OWN.length && !(next = await chunks.next()).done; ) {
    begun.push(next.value.slice())
    text += new TextDecoder('latin1').decode(next.value.subarray(0, 8 + OWN.length))
  }
  opened.chunks = (async function* () {
    yield* begun
    yield* chunks
  })()
  opened.close = () => chunks.return()
  return text.startsWith('GGUF') || text.startsWith(OWN, 8)
}

async function readConfigs(parts, reader) {
  const configs = []
  for (const part of parts) {
    const bytes = await readConfig(part, reader)
    if (!bytes) continue
    configs.push({ name: part.name, bytes })
    if (part.enough !== undefined && new TextDecoder().decode(bytes).includes(part.enough)) break
  }
  return configs
}

async function bytesOf(name, { chunks }, most) {
  const pieces = []
  for await (const chunk of chunks) {
    const bytes = bytesIn(name, chunk)
    most -= bytes.length
    if (most < 0) throw new VitError('limit', `${name}: it goes on after all bytes that it may have (option limits.configBytes)`)
    pieces.push(new Blob([bytes.slice()])) // shared memory is taken by none
  }
  return new Uint8Array(await new Blob(pieces).arrayBuffer())
}

// undefined for an optional config that is not there, though a server may answer with a page.
async function readConfig(part, reader) {
  let bytes
  try {
    bytes = await bytesOf(part.name, await openPart(part, { ...reader, spare: [] }), reader.most)
  } catch (error) {
    if (part.optional && isAbsent(error)) return
    throw error
  }
  if (!new TextDecoder().decode(bytes.subarray(0, 99)).trimStart().startsWith('<')) return bytes
  if (!part.optional) throw new VitError('format', `${part.name}: an HTML page came instead of a config`)
}

// { total, chunks }: the number of bytes, where it is known, and an async iterable of them.
async function openPart({ name, url, blob, stream, bytes, text }, reader) {
  const { signal, spare } = reader
  throwIfCancelled(signal)
  if (url?.startsWith('file:')) return openFile(name, new URL(url), reader)
  if (url) return reader.cache ? openKept(name, url, reader) : openUrl(name, url, signal, spare)
  if (blob) return { total: blob.size, chunks: watch(name, iterate(blob.stream(), signal, spare), signal) }
  if (stream) return { chunks: watch(name, iterate(stream, signal, spare), signal) }
  bytes ??= new TextEncoder().encode(text)
  return { total: bytes.length, chunks: cut(bytes) }
}

async function openKept(name, url, { signal, spare, urls }) {
  urls.push(url)
  const file = await kept(url, signal, spare)
  const first = await answer(file?.chunks.next()) // what does not begin is not waited for
  if (first) file.chunks = goOn(name, url, first, file, signal)
  if (first && file.isWhole) return file
  const part = first && file.tag && file
  const opened = await openUrl(name, url, signal, spare, part).catch((error) => {
    if (!part || error.code !== 'http') throw error
    return openUrl(name, url, signal, spare) // some answer to no request for a part
  })
  if (file && !opened.loaded && !opened.isPage && !(part && part.tag === opened.tag)) await forget(url)
  return opened.isPage ? opened : keep(url, opened)
}

async function* goOn(name, url, first, { isWhole, chunks }, signal) {
  try {
    for (let next = first; !next.done; ) {
      yield next.value
      next = await answer(chunks.next())
      throwIfCancelled(signal)
      if (next) continue
      if (isWhole) await forget(url)
      throw new VitError('io', `${name}: what the browser kept of it cannot be read to its end; it is fetched the next time`)
    }
  } finally {
    chunks.return()
  }
}

async function* cut(bytes) {
  for (let at = 0; at < bytes.length; at += PIECE) yield bytes.subarray(at, at + PIECE)
}

async function openFile(name, path, { signal, spare }) {
  try {
    const file = await files.stat(path)
    if (!file.isFile()) throw new Error(file.isDirectory() ? 'it is a folder' : 'it is not a regular file')
    return { total: file.size, chunks: watch(name, readFile(path, spare), signal) }
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

async function* watch(name, chunks, signal) {
  let loaded = 0
  try {
    for await (const chunk of chunks) {
      loaded += chunk?.length ?? 0
      yield chunk
    }
  } catch (error) {
    throwIfCancelled(signal)
    throw new VitError('io', `${name}: reading failed after ${loaded} bytes: ${error?.message ?? error}`, { cause: error })
  }
}
