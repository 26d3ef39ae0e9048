// Files that are kept for the next time, in the browser's Cache API. Elsewhere nothing is kept.

const NAME = 'vit-wasm'
const open = () => globalThis.caches?.open(NAME).catch(() => {}) // there is none on pages that are not secure, or in private windows

// Requests of the files that are kept: all, or that of an address and of those below it.
async function requests(cache, url) {
  const all = (await cache?.keys()) ?? []
  const below = url && `${String(url).replace(/\/$/, '')}/`
  return url ? all.filter((request) => request.url === String(url) || request.url.startsWith(below)) : all
}

// The bytes of those files.
export async function cacheSize(url) {
  const cache = await open()
  let sum = 0
  for (const request of await requests(cache, url)) {
    const response = await cache.match(request)
    sum += Number(response?.headers.get('content-length')) || ((await response?.blob())?.size ?? 0)
  }
  return sum
}

export async function clearCache(url) {
  if (!url) return void (await globalThis.caches?.delete(NAME).catch(() => {}))
  const cache = await open()
  await Promise.all((await requests(cache, url)).map((request) => cache.delete(request)))
}

export const forget = async (url) => (await open())?.delete(url)

// The response that is kept for this URL, or undefined.
export const kept = async (url) => (await open())?.match(url)

// The same { total, chunks }, kept as they are read: once all have come, and not if reading ends before. What cannot be kept,
// for want of room, does no harm.
export async function keep(url, opened, signal) {
  const cache = await open()
  return cache ? { ...opened, chunks: copy(cache, url, opened, signal) } : opened
}

async function* copy(cache, url, { total, chunks }, signal) {
  const { readable, writable } = new TransformStream()
  const headers = total ? { 'content-length': total } : {}
  const stored = cache.put(url, new Response(readable, { headers })).catch(() => {})
  const writer = writable.getWriter()
  writer.closed.catch(() => {})
  signal.addEventListener('abort', () => writer.abort(signal.reason).catch(() => {}))
  for await (const chunk of chunks) {
    await writer.write(chunk.slice()).catch(() => {})
    yield chunk
  }
  await writer.close().catch(() => {})
  await stored
}
