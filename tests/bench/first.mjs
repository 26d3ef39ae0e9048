// The first visit to a built site over 10 Mbit/s:  node tests/bench/first.mjs SITE [runs]
// In Chromium, isolated by the host's headers, text packed by gzip: from navigation to the answer on the sample, and what was
// fetched until then. Aims: 80 kB before models; 1.2 s and the model's own bytes at that rate.

import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { extname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { launch } from '../browser/launch.mjs'

const [site, runs = '5'] = process.argv.slice(2)
const RATE = 10e6 / 8 // bytes a second
const AIM = { bytes: 80_000, seconds: 1.2 }
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.json': 'application/json', '.wasm': 'application/wasm', '.svg': 'image/svg+xml', '.webmanifest': 'application/manifest+json', '.jpg': 'image/jpeg' }
const PACKED = ['.html', '.js', '.css', '.wasm', '.json', '.svg']
const HEADERS = { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp', 'cache-control': 'no-cache' }

const made = new Map() // path -> [headers, body]
function answerOf(path) {
  const type = extname(path)
  const body = readFileSync(join(site, path))
  const packed = PACKED.includes(type)
  return [{ ...HEADERS, 'content-type': TYPES[type] ?? 'application/octet-stream', ...(packed && { 'content-encoding': 'gzip' }) }, packed ? gzipSync(body, { level: 9 }) : body]
}

let fetched // path -> bytes, of one visit
const server = createServer(({ url }, response) => {
  const path = url.split('?')[0].replace(/\/$/, '/index.html')
  try {
    if (!made.has(path)) made.set(path, answerOf(path))
    const [headers, body] = made.get(path)
    fetched.set(path, body.length)
    response.writeHead(200, { ...headers, 'content-length': body.length }).end(body)
  } catch {
    response.writeHead(404).end()
  }
})
await new Promise((done) => server.listen(0, '127.0.0.1', done))

async function visit(browser) {
  const context = await browser.createBrowserContext()
  const page = await context.newPage()
  const session = await page.createCDPSession()
  await session.send('Network.enable')
  await session.send('Network.emulateNetworkConditions', { offline: false, latency: 20, downloadThroughput: RATE, uploadThroughput: RATE })
  fetched = new Map()
  await page.evaluateOnNewDocument(() => {
    const observer = new MutationObserver(() => {
      if (!document.querySelector('#scores li')) return
      globalThis.answeredAt = performance.now()
      observer.disconnect()
    })
    observer.observe(document, { childList: true, subtree: true })
  })
  await page.goto(`http://127.0.0.1:${server.address().port}/web/`, { waitUntil: 'domcontentloaded' })
  const handle = await page.waitForFunction(() => globalThis.answeredAt, { polling: 50, timeout: 60000 })
  const ms = await handle.jsonValue()
  const sum = (test) => [...fetched].filter(([path]) => test(path)).reduce((all, [, bytes]) => all + bytes, 0)
  const found = { ms, model: sum((path) => /\.(gguf|safetensors)$/.test(path)), bytes: sum((path) => /\.(html|js|css|wasm)$/.test(path)), pictures: sum((path) => /\.jpg$/.test(path)) }
  await context.close()
  return found
}

const browser = await launch('chromium')
const visits = []
for (let i = 0; i < Number(runs); i++) visits.push(await visit(browser))
await browser.close()
server.close()
const { ms, model, bytes, pictures } = visits.sort((a, b) => a.ms - b.ms)[visits.length >> 1]
const allowed = AIM.seconds + model / RATE
console.log(`JS, CSS, HTML and wasm before models: ${bytes} bytes as gzip (aim ${AIM.bytes}: ${bytes <= AIM.bytes ? 'met' : 'missed'}); pictures ${pictures}, model ${model}`)
console.log(`first result at 10 Mbit/s: ${(ms / 1000).toFixed(2)} s, median of ${visits.length} (aim ${allowed.toFixed(2)} s: ${ms / 1000 <= allowed ? 'met' : 'missed'})`)
