// The test server: the repository on a loopback port, under the strictest policy a page can have.
//   /golden/...       tests/golden            /built/...        what the runner made
//   /data/...         VIT_DATA/data           /data-golden/...  VIT_DATA/golden      /stalled?name=   whether a stalled answer is open
//   /asked?name=      the ranges that were asked of that name, '' for all of a file
//   /every/path/...   an HTML page, as servers of single-page applications answer
// Queries make answers go wrong: status=N, html, cut=N (the connection ends after N bytes), stall=N (nothing comes after N
// bytes of an answer), chunk=N (pieces of N bytes), nolength, gzip, flaky=N (each answer ends after N bytes), norange, noparts (who asks for one is refused), changing (another
// version each time), growing (a longer file, later), weak (so is its ETag), careless (of If-Range), reset (connections that end early
// are reset), redirect (to such a page), bomb=N (N MiB of spaces, compressed).
// name=X&times=N limits flaky, stall and busy (503) to the first N answers to that name; gone: all after
// them are 404. body=TEXT: that, of a name the first N times.

import { createServer } from 'node:http'
import { readFile } from 'node:fs/promises'
import { extname, join, normalize, resolve, sep } from 'node:path'
import { gzipSync } from 'node:zlib'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../..', import.meta.url))
export const dataFolder = resolve(root, process.env.VIT_DATA ?? '../shared')

const TYPES = { '.js': 'text/javascript', '.mjs': 'text/javascript', '.wasm': 'application/wasm', '.json': 'application/json', '.html': 'text/html', '.css': 'text/css', '.png': 'image/png', '.jpg': 'image/jpeg' }
const FOLDERS = { golden: 'tests/golden', data: join(dataFolder, 'data'), 'data-golden': join(dataFolder, 'golden') }
const POLICY = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'"

// Maps a path of a URL to a file, or null for what is outside.
function fileOf(pathname, built) {
  const path = normalize(decodeURIComponent(pathname)).split(sep).filter(Boolean)
  if (path.includes('..')) return null
  const folder = path[0] === 'built' ? built : FOLDERS[path[0]]
  const base = folder ? (folder.startsWith(sep) ? folder : join(root, folder)) : root
  return join(base, ...(folder ? path.slice(1) : path))
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms))

// isolated: whether pages get cross-origin isolation; built: the folder of what the runner made. Returns { url, close }.
export async function startServer({ isolated = true, built } = {}) {
  const stalled = new Set()
  const asked = {} // ranges, by name
  const headers = { 'content-security-policy': POLICY, 'cache-control': 'no-store' }
  if (isolated) Object.assign(headers, { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' })

  async function answer(request, response) {
    const { pathname, searchParams: query } = new URL(request.url, 'http://localhost')
    const send = (status, type, body) => response.writeHead(status, { ...headers, 'content-type': type, 'content-length': Buffer.byteLength(body) }).end(body)
    if (pathname === '/stalled') return send(200, 'application/json', JSON.stringify({ open: stalled.has(query.get('name')) }))
    if (pathname === '/asked') return send(200, 'application/json', JSON.stringify(asked[query.get('name')] ?? []))
    if (pathname === '/blank.html') return send(200, 'text/html', '<!doctype html><meta charset="utf-8"><title>tests</title>')
    if (query.has('html') || pathname.startsWith('/every/path/')) return send(200, 'text/html', '<!DOCTYPE html>\n<title>Page not found</title>\n')
    const times = query.has('times') ? Number(query.get('times')) : Infinity
    const early = (asked[query.get('name')] ??= []).push(request.headers.range ?? '') <= times
    if (query.has('redirect')) return response.writeHead(302, { ...headers, location: '/every/path/' }).end()
    if (query.has('busy') && early) return send(503, 'text/plain', 'later')
    if (query.has('noparts') && request.headers.range) return send(403, 'text/plain', 'all of it or nothing')
    if (query.has('gone') && !early) return send(404, 'text/plain', 'gone')
    if (query.has('status')) return send(Number(query.get('status')), 'text/plain', 'as asked')
    const body = query.has('body') && early ? Buffer.from(query.get('body')) : await readFile(fileOf(pathname, built) ?? '').catch(() => null)
    if (!body) return send(404, 'text/html', '<!DOCTYPE html><title>404 Not Found</title>')
    await sendBody(request, response, body, pathname, query, early)
  }

  async function sendBody(request, response, body, pathname, query, early) {
    const type = { ...headers, 'content-type': TYPES[extname(pathname)] ?? 'application/octet-stream' }
    if (query.has('gzip') || query.has('bomb')) {
      const packed = gzipSync(query.has('bomb') ? Buffer.alloc(query.get('bomb') << 20, ' ') : body)
      return response.writeHead(200, { ...type, 'content-encoding': 'gzip', 'content-length': packed.length }).end(packed)
    }
    type.etag = `${query.has('weak') ? 'W/' : ''}"${query.has('changing') ? Math.random() : body.length}"`
    const [, from] = /^bytes=(\d+)-$/.exec(request.headers.range ?? '') ?? []
    const partly = from && !query.has('norange') && (query.has('careless') || [undefined, type.etag].includes(request.headers['if-range']))
    const begin = partly ? Number(from) : 0
    if (partly) type['content-range'] = `bytes ${begin}-${body.length - 1}/${body.length + (query.has('growing') ? 75 : 0)}`
    response.writeHead(partly ? 206 : 200, query.has('nolength') ? type : { ...type, 'content-length': body.length - begin })
    response.flushHeaders()
    const [flaky, stall] = ['flaky', 'stall'].map((what) => early && query.has(what))
    const end = flaky || stall ? Math.min(body.length, begin + Number(query.get('flaky') ?? query.get('stall'))) : Number(query.get('cut') ?? body.length)
    const step = Number(query.get('chunk') ?? (body.length || 1))
    for (let at = begin; at < end; at += step) {
      response.write(body.subarray(at, Math.min(end, at + step)))
      if (query.has('chunk')) await pause(5)
    }
    if (query.has('cut') || (flaky && end < body.length)) return setTimeout(() => (query.has('reset') ? response.socket?.resetAndDestroy() : response.destroy()), 20)
    if (!stall) return response.end()
    if (response.destroyed) return // the other side left meanwhile
    stalled.add(query.get('name'))
    response.on('close', () => stalled.delete(query.get('name')))
  }

  const server = createServer((request, response) => answer(request, response).catch(() => response.destroy()))
  await new Promise((done) => server.listen(0, '127.0.0.1', done))
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    close: () => (server.closeAllConnections(), server.close())
  }
}
