// Files that are kept for the next time, in the browser's Cache API. Elsewhere nothing is kept. The last piece of a file is kept at its
// URL, once all others are at addresses below it: without a last one they are what came of it before its download ended.

import { rangeOf, tagOf } from './http.mjs'
import { iterate } from './stream.mjs'

const PIECE = 4 << 20 // bytes of all pieces but the last
const NAME = 'vit-wasm'
const PATIENCE = 3000 // ms
const storage = async () => globalThis.caches // there is none on pages that are not secure; it throws where storage is denied
const open = () => answer(storage().then((caches) => caches?.open(NAME)))

const bare = (url) => url.split('#')[0]
const pieceOf = (url, i) => `${bare(url)}/~/${i}`

// What the browser says, undefined when it fails or is silent: a model is loaded whether its files can be kept or not.
export async function answer(promise) {
  let timer
  const silence = new Promise((done) => (timer = setTimeout(done, PATIENCE)))
  return Promise.race([promise, silence]).catch(() => {}).finally(() => clearTimeout(timer))
}

// Requests of the files that are kept: all, or those of addresses and of what lies below them.
async function requests(cache, urls) {
  const all = (await answer(cache?.keys())) ?? []
  return urls ? all.filter((request) => urls.map(bare).some((url) => request.url === url || request.url.startsWith(url.replace(/\/?$/, '/')))) : all
}

// The bytes of those files.
export async function cacheSize(urls) {
  const cache = await open()
  let sum = 0
  for (const request of await requests(cache, urls)) {
    const response = await answer(cache.match(request))
    sum += Number(response?.headers.get('content-length')) || ((await answer(response?.blob()))?.size ?? 0)
  }
  return sum
}

export async function clearCache(urls) {
  if (!urls) return void (await answer(storage().then((caches) => caches?.delete(NAME))))
  const cache = await open()
  await Promise.all((await requests(cache, urls)).map((request) => answer(cache.delete(request))))
}

export async function forget(url) {
  const cache = await open()
  await answer(cache?.delete(bare(url)))
  const pieces = (await requests(cache)).filter((request) => request.url.startsWith(pieceOf(url, '')))
  await Promise.all(pieces.map((request) => answer(cache.delete(request))))
}

// What an entry has: bytes begin to end of a file of `total`, of which version. Those of before there were pieces do not say.
async function find(cache, key) {
  const headers = (await answer(cache?.match(key)))?.headers
  return headers && describe(headers)
}

function describe(headers) {
  const size = Number(headers.get('content-length'))
  const [begin = 0, total = size] = rangeOf(headers.get('content-range'))
  return { begin, end: begin + size, total: total || undefined, etag: headers.get('etag'), tag: tagOf(headers) }
}

// What is kept of the file at this URL: { isWhole, loaded, total, tag, chunks }, or nothing.
export async function kept(url, signal, spare) {
  const cache = await open()
  const whole = await find(cache, bare(url))
  const isWhole = whole?.end > 0
  let last = isWhole ? whole : undefined
  for (let i = 0, next; !isWhole && (next = await find(cache, pieceOf(url, i))); i++) {
    if (next.begin !== (last?.end ?? 0) || (last && next.etag !== last.etag)) break
    last = next
  }
  return last && { isWhole, loaded: last.end, total: last.total, tag: last.tag, chunks: read(cache, url, isWhole, last, signal, spare) }
}

async function* read(cache, url, isWhole, { begin, end, etag }, signal, spare) {
  for (let i = 0, at = 0; at < end; i++) {
    const { headers, body } = await cache.match(isWhole && at === begin ? bare(url) : pieceOf(url, i))
    const piece = describe(headers)
    if (piece.begin !== at || piece.etag !== etag) throw new Error('a piece of another version') // by another page
    for await (const chunk of iterate(body, signal, spare)) {
      const bytes = chunk.subarray(0, end - at)
      at += bytes.length
      yield bytes
    }
  }
}

// What openUrl() opened, kept as it is read: in full once all has come, and where a tag says of which version it is, also what came
// before reading ended. What cannot be kept, for want of room, does no harm.
export async function keep(url, opened) {
  const cache = await open()
  return cache ? { ...opened, chunks: copy(cache, url, opened) } : opened
}

async function* copy(cache, url, { total = '*', tag, chunks }) {
  const etag = tag ?? `W/${Math.random()}` // only what came together goes together
  const piece = new Uint8Array(PIECE)
  let begin = 0 // of the piece, in the file
  let end = 0
  let stored = true // whether all before are: maybe a promise
  async function store(key) {
    const headers = { 'content-length': end - begin, 'content-range': `bytes ${begin}-${end - 1}/${total}`, etag }
    if (await stored) stored = answer(cache.put(key, new Response(piece.subarray(0, end - begin), { headers })).then(() => true))
  }
  // Unless it is there, from a download before or by another page.
  async function storePart() {
    if (!(await stored)) return
    const key = pieceOf(url, begin / PIECE)
    const there = await find(cache, key)
    if (there?.etag !== etag || there.end < end) await store(key)
  }
  try {
    for await (const chunk of chunks) {
      for (let rest = chunk; rest.length; ) {
        if (end - begin === PIECE) {
          await storePart()
          begin = end
        }
        const some = rest.subarray(0, begin + PIECE - end)
        piece.set(some, end - begin)
        end += some.length
        rest = rest.subarray(some.length)
      }
      yield chunk
    }
    total = end
  } finally {
    const isWhole = end === total && end > 0
    if (isWhole) {
      for (let at = 0; at < begin && (await stored); at += PIECE) { // another page may have deleted some
        const there = await find(cache, pieceOf(url, at / PIECE))
        stored = there?.etag === etag && there.end === at + PIECE
      }
      await store(bare(url))
      await answer(cache.delete(pieceOf(url, begin / PIECE))) // the beginning of the last one
    } else if (tag && end) await storePart()
    const isStored = await stored
    if (isWhole ? !isStored : !tag) await forget(url)
  }
}
