// Files that are kept for the next time, in the browser's Cache API. Elsewhere nothing is kept.

const NAME = 'vit-wasm'
const PATIENCE = 3000 // ms
const open = () => answer(globalThis.caches?.open(NAME)) // there is none on pages that are not secure, or in private windows

// What the browser says, undefined when it fails or is silent: a model is loaded whether its files can be kept or not.
export async function answer(promise) {
  let timer
  const silence = new Promise((done) => (timer = setTimeout(done, PATIENCE)))
  return Promise.race([promise, silence]).catch(() => {}).finally(() => clearTimeout(timer))
}

// Requests of the files that are kept: all, or those of addresses and of what lies below them.
async function requests(cache, urls) {
  const all = (await answer(cache?.keys())) ?? []
  return urls ? all.filter((request) => urls.some((url) => request.url === url || request.url.startsWith(url.replace(/\/?$/, '/')))) : all
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
  if (!urls) return void (await answer(globalThis.caches?.delete(NAME)))
  const cache = await open()
  await Promise.all((await requests(cache, urls)).map((request) => answer(cache.delete(request))))
}

export const forget = async (url) => answer((await open())?.delete(url))

// The response that is kept for this URL, or undefined.
export const kept = async (url) => answer((await open())?.match(url))

// The same { total, chunks }, kept as they are read: once all have come, and not if reading ends before. What cannot be kept,
// for want of room, does no harm.
export async function keep(url, opened, signal) {
  const cache = await open()
  return cache ? { ...opened, chunks: copy(cache, url, opened, signal) } : opened
}

async function* copy(cache, url, { total, chunks }, signal) {
  const { readable, writable } = new TransformStream()
  const headers = total ? { 'content-length': total } : {}
  const writer = writable.getWriter()
  const stop = () => writer.abort(signal.reason).catch(() => {}) // does nothing once it is closed
  writer.closed.catch(() => {})
  const stored = cache.put(url, new Response(readable, { headers })).catch(() => {})
  signal.addEventListener('abort', stop)
  try {
    let goesOn = true
    for await (const chunk of chunks) {
      goesOn &&= await answer(writer.write(chunk.slice()).then(() => true))
      yield chunk
    }
    if (!goesOn) return
    await answer(writer.close())
    await answer(stored)
  } finally {
    signal.removeEventListener('abort', stop)
    stop()
  }
}
