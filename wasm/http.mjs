// Files at URLs, whole however often the connection breaks.

import { VitError, throwIfCancelled, unlessCancelled } from './errors.mjs'
import { iterate } from './stream.mjs'

const DELAYS = [100, 400, 1600] // ms before a request is made again
const PROGRESS = 4096 // bytes of an answer, after which it is no failure that it breaks
const PATIENCE = 300000 // ms without a network
const BUSY = [408, 429, 502, 503, 504] // statuses that pass

const truncated = (name, loaded, total, cause) =>
  new VitError('truncated', `${name}: the file ended after ${loaded} of ${total} bytes`, { cause })

const pause = (ms, signal) => unlessCancelled(new Promise((done) => setTimeout(done, ms)), signal)

// Until the host has a network again.
const online = (signal) => unlessCancelled(new Promise((done) => {
  setTimeout(done, PATIENCE)
  addEventListener('online', done, { once: true })
}), signal)

// A response, whatever its status.
async function ask(name, url, signal, headers) {
  try {
    return await fetch(url, { signal, headers })
  } catch (error) {
    throwIfCancelled(signal)
    throw new VitError('http', `${name}: no answer (${error.cause?.message ?? error.message}); the network, or a server that does not let this page read it (CORS)`, { cause: error })
  }
}

function refuse(name, response) {
  response.body?.cancel().catch(() => {})
  throw new VitError('http', `${name}: HTTP ${response.status} ${response.statusText}`.trimEnd(), { cause: response })
}

// { total, tag, chunks, isPage }: the number of bytes, undefined where it is not known; what tells this version of the file from
// others, undefined where nothing does; an async iterable of the bytes; whether they are said to be HTML, as servers answer that have a
// page for everything. The cause of an error is the response, if there was one.
// part: { loaded, total, tag, chunks } of the file's first bytes. If that version is there still, only the rest is fetched, and the
// answer has `loaded` too.
export async function openUrl(name, url, signal, spare, part) {
  const asked = part && restOf(url, part)
  let response = await ask(name, url, signal, asked)
  for (let i = 0; BUSY.includes(response.status) && i < DELAYS.length; i++) {
    response.body?.cancel().catch(() => {})
    await pause(DELAYS[i], signal)
    response = await ask(name, url, signal, asked)
  }
  const { status, headers } = response
  const encoded = headers.has('content-encoding')
  const goesOn = status === 206 && part && !encoded && beginOf(response, part) === part.loaded && (asked['if-range'] || tagOf(headers))
  if (part && !goesOn && [206, 416].includes(status)) {
    response.body?.cancel().catch(() => {})
    return openUrl(name, url, signal, spare)
  }
  if (!response.ok) refuse(name, response)
  const { total, tag, loaded } = goesOn ? part : { total: lengthOf(headers), tag: tagOf(headers) }
  const isPage = /^text\/html/i.test(headers.get('content-type'))
  const body = iterate(response.body ?? new Blob().stream(), signal, spare)
  const first = goesOn ? join(part.chunks, body) : body
  return { total, tag: encoded ? undefined : tag, loaded, isPage, chunks: readOn(first, { name, url, total, encoded, tag }, signal, spare) }
}

async function* join(first, second) {
  yield* first
  yield* second
}

// Content-Length counts bytes on the wire: of a compressed answer it says nothing about the file.
const lengthOf = (headers) => (!headers.has('content-encoding') && Number(headers.get('content-length'))) || undefined

// Of Content-Range: the first byte, and how many the file has, NaN where that is not said.
export const rangeOf = (range) => (/^bytes (\d+)-\d*\/(.*)/.exec(range) ?? []).slice(1).map(Number)

// What tells versions of a file apart. A weak ETag does not promise the same bytes.
export const tagOf = (headers) => [headers.get('etag'), headers.get('last-modified')].find((tag) => tag && !tag.startsWith('W/'))

// Headers that ask for what follows the first bytes of a version.
function restOf(url, { loaded, tag }) {
  const headers = { range: `bytes=${loaded}-` }
  // To ask another origin that, it would first be asked whether it may be asked.
  if (tag && [new URL(url).origin, undefined].includes(globalThis.location?.origin)) headers['if-range'] = tag
  return headers
}

// The first byte of an answer to that, undefined if it is of another version.
function beginOf({ status, headers }, { loaded, total, tag }) {
  const [begin, whole] = status === 206 ? rangeOf(headers.get('content-range') ?? `bytes ${loaded}-/${loaded + lengthOf(headers)}`) : [0, lengthOf(headers)]
  const now = tagOf(headers)
  if (begin <= loaded && !(total && whole && total !== whole) && !(tag && now && tag !== now)) return begin
}

async function* readOn(chunks, { name, url, total, encoded, tag }, signal, spare) {
  let loaded = 0
  let skip = 0 // bytes of this answer that were there before
  let begun = 0 // what was loaded when it came
  let failures = 0
  for (;;) {
    let cause
    try {
      for await (const chunk of chunks) {
        const known = Math.min(skip, chunk.length)
        skip -= known
        if (known === chunk.length) continue
        loaded += chunk.length - known
        if (loaded - begun >= PROGRESS) failures = 0
        yield chunk.subarray(known)
      }
      if (!(loaded < total)) return
      throw new Error('the answer ended early')
    } catch (error) {
      throwIfCancelled(signal)
      cause = error
    }
    // It broke: the rest is asked for.
    for (chunks = undefined; !chunks; failures++) {
      if (failures === DELAYS.length)
        throw total ? truncated(name, loaded, total, cause) : new VitError('truncated', `${name}: the connection broke after ${loaded} bytes`, { cause })
      await pause(DELAYS[failures], signal)
      const headers = loaded && !encoded ? restOf(url, { loaded, tag }) : {}
      const response = await ask(name, url, signal, headers).catch((error) => {
        throwIfCancelled(signal)
        cause = error
      })
      if (!response && globalThis.navigator?.onLine === false) {
        await online(signal)
        failures = -1 // the first of what comes now
      }
      if (!response || BUSY.includes(response.status)) continue
      if (!response.ok) refuse(name, response)
      const begin = beginOf(response, { loaded, total, tag })
      if (begin === undefined) {
        response.body?.cancel().catch(() => {})
        throw new VitError('http', `${name}: the file changed while it was read`)
      }
      skip = loaded - begin
      begun = loaded
      chunks = iterate(response.body, signal, spare)
    }
  }
}
