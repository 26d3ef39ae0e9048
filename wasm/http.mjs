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

// { total, chunks, isPage }: the number of bytes, undefined where it is not known; an async iterable of them; whether they are
// said to be HTML, as servers answer that have a page for everything. The cause of an error is the response, if there was one.
export async function openUrl(name, url, signal, spare) {
  let response = await ask(name, url, signal)
  for (let i = 0; BUSY.includes(response.status) && i < DELAYS.length; i++) {
    response.body?.cancel().catch(() => {})
    await pause(DELAYS[i], signal)
    response = await ask(name, url, signal)
  }
  if (!response.ok) refuse(name, response)
  const { headers } = response
  const encoded = headers.has('content-encoding')
  const total = lengthOf(headers)
  const isPage = /^text\/html/i.test(headers.get('content-type'))
  const first = iterate(response.body ?? new Blob().stream(), signal, spare)
  return { total, isPage, chunks: readOn(first, { name, url, total, encoded, tag: tagOf(headers) }, signal, spare) }
}

// Content-Length counts bytes on the wire: of a compressed answer it says nothing about the file.
const lengthOf = (headers) => (!headers.has('content-encoding') && Number(headers.get('content-length'))) || undefined

// Of Content-Range: the first byte, and how many the file has, NaN where that is not said.
const rangeOf = (range) => (/^bytes (\d+)-\d*\/(.*)/.exec(range) ?? []).slice(1).map(Number)

// What tells versions of a file apart. A weak ETag does not promise the same bytes.
const tagOf = (headers) => [headers.get('etag'), headers.get('last-modified')].find((tag) => tag && !tag.startsWith('W/'))

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
    } catch (error) {
      throwIfCancelled(signal)
      cause = error
    }
    // It broke: the rest is asked for.
    for (chunks = undefined; !chunks; failures++) {
      if (failures === DELAYS.length)
        throw total ? truncated(name, loaded, total, cause) : new VitError('truncated', `${name}: the connection broke after ${loaded} bytes`, { cause })
      await pause(DELAYS[failures], signal)
      const headers = loaded && !encoded ? { range: `bytes=${loaded}-` } : {}
      // To ask another origin that, it would first be asked whether it may be asked.
      if (headers.range && tag && [new URL(url).origin, undefined].includes(globalThis.location?.origin)) headers['if-range'] = tag
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
      const [begin, whole] = response.status === 206 ? rangeOf(response.headers.get('content-range') ?? `bytes ${loaded}-/*`) : [0, lengthOf(response.headers)]
      const now = tagOf(response.headers)
      if (!(begin <= loaded) || (total && whole && total !== whole) || (tag && now && tag !== now)) {
        response.body?.cancel().catch(() => {})
        throw new VitError('http', `${name}: the file changed while it was read`)
      }
      skip = loaded - begin
      begun = loaded
      chunks = iterate(response.body, signal, spare)
    }
  }
}
