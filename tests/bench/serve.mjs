// A server for timing: files of the repository, and of the folders that are named, for pages that are cross-origin isolated.
// Files are held in memory: what is timed is not this server's reading.

import { readFileSync, statSync } from 'node:fs'
import { createServer } from 'node:http'
import { extname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const TYPES = { '.js': 'text/javascript', '.mjs': 'text/javascript', '.wasm': 'application/wasm', '.json': 'application/json', '.html': 'text/html' }
const HEADERS = { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' }

// folders: { '/prefix/': folder }. Returns { url, close }.
export async function serve(folders) {
  const held = {}
  const server = createServer((request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url, 'http://localhost').pathname))
    const prefix = Object.keys(folders).find((name) => path.startsWith(name))
    const file = prefix ? join(folders[prefix], path.slice(prefix.length)) : join(root, path)
    const found = statSync(file, { throwIfNoEntry: false })
    if (!found?.isFile()) return response.writeHead(404).end()
    const type = TYPES[extname(file)] ?? 'application/octet-stream'
    response.writeHead(200, { ...HEADERS, 'content-type': type, 'content-length': found.size })
    response.end((held[file] ??= readFileSync(file)))
  })
  await new Promise((done) => server.listen(0, '127.0.0.1', done))
  return { url: `http://localhost:${server.address().port}/`, close: () => (server.closeAllConnections(), server.close()) }
}
