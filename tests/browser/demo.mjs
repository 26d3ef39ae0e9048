// The demo page, as a visitor uses it:  node tests/browser/demo.mjs [chromium|firefox]
// Served by web/serve.mjs on loopback, with a tiny model of random weights, and the real one where it is at hand.

import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { createServer, request as httpRequest } from 'node:http'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { makeFolders, png } from '../js/files.mjs'
import { launch } from './launch.mjs'
import { testBatch } from './tab_batch.mjs'
import { testSight } from './sight.mjs'
import { testTabs } from './tabs.mjs'
import { answered, block, check, drop, encoded, fileOf, filled, invited, noticed, openPage, results, root, sample, setBrowser, text, tiny, until, visible } from './visit.mjs'
import { viewOf } from '../../web/app/view.js'
import words from '../../web/words/en.js'
import korean from '../../web/words/ko.js'

const browserName = process.argv[2] ?? 'chromium'
const real = join(process.env.VIT_DATA ?? join(root, '../shared'), 'data/vit_tiny_patch16_224')

// ---- servers

const atEnd = []

async function serve(...args) {
  const child = spawn(process.execPath, [join(root, 'web/serve.mjs'), '--port', '0', ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  atEnd.push(() => child.kill())
  return new Promise((done, fail) => {
    child.stdout.once('data', (data) => done(String(data).split('\n')[0]))
    child.once('exit', (status) => fail(new Error(`serve.mjs ended with ${status}`)))
  })
}

// Another site, with models as other hosts serve them, well and badly. open: answers that have not ended. asked: the ranges of /slow.gguf.
async function startElsewhere() {
  const open = new Set()
  const asked = []
  const weights = readFileSync(join(tiny, 'model.safetensors'))
  const config = readFileSync(join(tiny, 'config.json'))
  const cors = { 'Access-Control-Allow-Origin': '*', 'Access-Control-Allow-Headers': 'Range' }
  let changes = 0
  const files = {
    '/good/config.json': config, '/good/model.safetensors': weights,
    '/short/config.json': config, '/short/model.safetensors': weights.subarray(0, weights.length / 2)
  }
  const server = createServer(({ url, method, headers: { range } }, response) => {
    if (method === 'OPTIONS') return response.writeHead(204, cors).end()
    const body = files[url]
    if (body) return response.writeHead(200, { ...cors, 'Content-Length': body.length }).end(body)
    if (url === '/page.gguf') return response.writeHead(200, cors).end('<!doctype html><title>A page</title>')
    if (url === '/private.gguf') return response.writeHead(200).end(weights) // other pages may not read it
    if (url === '/changing.gguf') { // breaks off, and is a longer one the next time
      response.writeHead(200, { ...cors, 'Content-Length': (1 << 24) + changes++ }).write(Buffer.from('GGUF\x03\0\0\0', 'latin1'))
      return setTimeout(() => response.destroy(), 50)
    }
    if (url !== '/slow.gguf') return response.writeHead(404, cors).end('no such file')
    open.add(response)
    response.on('close', () => open.delete(response))
    asked.push(range ?? 'all')
    const begin = Number(/\d+/.exec(range) ?? 0)
    const version = { 'Last-Modified': 'Sun, 01 Nov 2026 00:00:00 GMT', 'Content-Length': (1 << 24) - begin }
    response.writeHead(range ? 206 : 200, { ...cors, ...version }).write(Buffer.from(range ? '\0' : 'GGUF\x03\0\0\0', 'latin1')) // Firefox waits for a byte
  })
  await new Promise((done) => server.listen(0, '127.0.0.1', done))
  atEnd.push(() => server.close(), () => server.closeAllConnections())
  return { url: `http://127.0.0.1:${server.address().port}`, open, asked }
}

// One request as it is written: fetch() would tidy the path first. -> { status, headers, body }
const ask = (base, path, options = {}) => new Promise((done, fail) => {
  const { hostname, port } = new URL(base)
  httpRequest({ hostname, port, path, ...options }, (response) => {
    const parts = []
    response.on('data', (part) => parts.push(part))
    response.on('end', () => done({ status: response.statusCode, headers: response.headers, body: Buffer.concat(parts) }))
  }).on('error', fail).end()
})

const OUTSIDE = ['/..', '/../package.json', '/web/../package.json', '/web/..%2fpackage.json', '/web/%2e%2e/package.json',
  '/web/%2e%2e%2fpackage.json', '/web/..%5cpackage.json', '/web/..\\package.json', '/web//etc/passwd', '//etc/passwd', '/web/./index.html',
  '/web/%00index.html', '/web/index.html%00.png', '/web/%252e%252e/package.json', '/package.json', '/src/vit.h', '/.git/config', '/web/.',
  '/web/samples', '/web/samples/', '/wasm', '/wasm/', '/wasm/dist/', '/model', '/model/', '/model/..%2fconfig.json', '/model/../config.json',
  '/model/none.gguf', '/web/app/../../package.json', '/constructor', '/web/__proto__']
const TYPES = {
  '/web/app/main.js': 'text/javascript', '/web/style/page.css': 'text/css', '/web/samples/cat.jpg': 'image/jpeg', '/web/favicon.svg': 'image/svg+xml',
  '/wasm/index.js': 'text/javascript', '/wasm/dist/vit-simd128.wasm': 'application/wasm', '/model/config.json': 'application/json'
}

async function testServer(base) {
  const { status, headers } = await ask(base, '/web/')
  const policy = headers['content-security-policy']
  check(status === 200 && headers['content-type'].startsWith('text/html'), 'serve: the page')
  check(policy.startsWith("default-src 'self'; script-src 'self' 'wasm-unsafe-eval';") && !policy.includes('unsafe-inline'), `serve: policy ${policy}`)
  check(headers['cross-origin-opener-policy'] === 'same-origin' && headers['cross-origin-embedder-policy'] === 'require-corp', 'serve: isolation')
  check(headers['x-content-type-options'] === 'nosniff', 'serve: nosniff')
  check((await ask(base, '/')).headers.location === '/web/', 'serve: the root leads to the page')
  for (const [path, type] of Object.entries(TYPES)) {
    const answer = await ask(base, path)
    check(answer.status === 200 && answer.headers['content-type'].startsWith(type), `serve: ${path}: ${answer.status} ${answer.headers['content-type']}`)
  }
  for (const path of OUTSIDE) {
    const answer = await ask(base, path)
    check(answer.status === 404 && answer.body.length < 20, `serve: ${path} is refused, not ${answer.status}`)
  }
  check((await ask(base, '/web/%zz')).status === 400, 'serve: a malformed address')
  for (const [host, status] of [['localhost', 200], ['[::1]:80', 200], ['evil.example', 421], ['localhost.evil.example', 421], ['127.0.0.1@evil.example', 421]])
    check((await ask(base, '/model/config.json', { headers: { Host: host } })).status === status, `serve: the name ${host}`)
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND'])
    check((await ask(base, '/web/', { method }).then(({ status, headers }) => status === 405 && headers.allow === 'GET, HEAD')), `serve: ${method} is refused`)
  for (const [to, inside] of [['/etc', 'hostname'], [root, 'package.json'], [join(root, 'package.json'), '']]) {
    const name = `link-${process.pid}`
    symlinkSync(to, join(root, 'web', name))
    const answer = await ask(base, `/web/${name}${inside && '/' + inside}`).finally(() => unlinkSync(join(root, 'web', name)))
    check(answer.status === 404 && answer.body.length < 20, `serve: a link to ${to} leads nowhere`)
  }
  const path = '/web/samples/cat.jpg'
  const whole = readFileSync(join(root, path))
  for (const [range, first, last] of [['0-9', 0, 9], ['100-', 100, whole.length - 1], ['-7', whole.length - 7, whole.length - 1]]) {
    const part = await ask(base, path, { headers: { Range: `bytes=${range}` } })
    check(part.status === 206 && part.body.equals(whole.subarray(first, last + 1)), `serve: bytes ${range}`)
    check(part.headers['content-range'] === `bytes ${first}-${last}/${whole.length}`, `serve: bytes ${range}: ${part.headers['content-range']}`)
  }
  check((await ask(base, path, { headers: { Range: 'bytes=99999999-' } })).status === 416, 'serve: a range past the end')
  const head = await ask(base, path, { method: 'HEAD' })
  check(head.status === 200 && Number(head.headers['content-length']) === whole.length && !head.body.length, 'serve: HEAD')
}

// ---- words: every key that the page names has words, and no words are left over

function testWords() {
  const files = ['index.html', ...['app', 'tabs'].flatMap((folder) => readdirSync(join(root, 'web', folder)).map((name) => `${folder}/${name}`))]
  const source = files.map((name) => readFileSync(join(root, 'web', name), 'utf8')).join('\n')
  const named = [...source.matchAll(/data-t(?:-label)?="([^"]+)"|\bt\('([^']+)'/g)].map((found) => found[1] ?? found[2])
  for (const key of named) check(key in words, `words: there are none for ${key}`)
  const braces = (text) => [...text.matchAll(/\{\w+\}/g)].map(String).sort().join()
  check(Object.keys(korean).join() === Object.keys(words).join(), 'words: the keys of Korean are those of English, in their order')
  for (const [key, text] of Object.entries(words)) check(braces(korean[key] ?? '') === braces(text), `words: Korean fills in ${korean[key]}, English ${text}`)
  const made = [...source.matchAll(/[`']([a-z]+(?:\.[a-z]+)*\.)\$\{/g)].map((found) => found[1]) // `sample.${id}`
  const isUsed = (key) => source.includes(`'${key}'`) || source.includes(`"${key}"`) || made.some((start) => key.startsWith(start))
  for (const key of Object.keys(words)) check(isUsed(key) || isUsed(key.replace(/\.one$/, '')), `words: ${key} is never used`) // .one: where there is one layer
}

// ---- which part of a picture is seen: 64x48 pixels of one of 100x200, at 80 %: scaled to cover, fit or become 80x60

function testView() {
  const seen = (crop) => Object.values(viewOf({ height: 48, width: 64, patch: [16, 16], grid: [3, 4], crop, cropPct: 0.8 }).seen(100, 200)).map((value) => Math.round(10 * value) / 10)
  const expected = {
    center: [10, 70, 80, 60], short_floor: [-3.3, 60, 106.7, 80], squash: [10, 20, 80, 160], squash_floor: [10, 20, 80, 160], border: [-56.7, 20, 213.3, 160]
  }
  for (const [crop, area] of Object.entries(expected)) check(seen(crop).join() === area.join(), `view: ${crop}: ${seen(crop)}, expected ${area}`)
}

// ---- pages

async function testOpening(base) {
  const { page, foreign, close } = await openPage(base)
  check(await answered(page, 'cat.jpg'), 'opening: a result is there')
  check(/ ms/.test(await text(page, '.time .total')), 'opening: how long it took')
  const foot = await text(page, '#foot-runs')
  for (const part of ['f32', 'kernels', 'thread', words['foot.isolated'], 'MB', 'decode', 'resize', 'encode', 'head']) check(foot.includes(part), `opening: no ${part} in: ${foot}`)
  check((await text(page, '#foot-requests')) === words['requests.none'], 'opening: the foot says that no request left')
  check((await text(page, '#live')).length > 10, 'opening: the answer is said')

  await (await page.$('#choose-input')).uploadFile(join(root, 'web/samples/rocket.jpg'))
  check(await answered(page, 'rocket.jpg'), 'picking a file')
  await drop(page, sample('coffee'))
  check(await answered(page, 'my coffee.jpg'), 'dropping a file')
  check(!(await page.$('#samples [aria-pressed="true"]')), 'dropping a file: no sample is marked')
  check(!(await visible(page, '.stuck')), 'opening: the page has started')
  check(!(await visible(page, '#drop')), 'dropping a file: the veil goes')
  await page.evaluate(({ bytes }) => {
    const transfer = new DataTransfer()
    transfer.items.add(new File([Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0))], 'clip.png', { type: 'image/png' }))
    dispatchEvent(Object.defineProperty(new Event('paste'), 'clipboardData', { value: transfer }))
  }, sample('horse'))
  check(await answered(page, 'clip.png'), 'pasting a picture')
  const taken = await page.evaluate(({ bytes }) => { // cells of a table: text and a picture of it
    const transfer = new DataTransfer()
    transfer.items.add(new File([Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0))], 'cells.png', { type: 'image/png' }))
    transfer.setData('text/plain', 'mug')
    return !document.querySelector('#url').dispatchEvent(Object.defineProperty(new Event('paste', { bubbles: true, cancelable: true }), 'clipboardData', { value: transfer }))
  }, sample('horse'))
  check(!taken && (await text(page, '#caption .file')).startsWith('clip.png'), 'pasting text into a field')
  const drawn = await page.evaluate(async () => { // a kind that only the browser decodes
    const canvas = new OffscreenCanvas(64, 48)
    canvas.getContext('2d').fillRect(8, 8, 40, 30)
    const blob = await canvas.convertToBlob({ type: 'image/webp' })
    return { type: blob.type, bytes: btoa(String.fromCharCode(...new Uint8Array(await blob.arrayBuffer()))) }
  })
  await drop(page, { name: 'drawn.webp', ...drawn })
  check(drawn.type === 'image/webp' && await answered(page, 'drawn.webp'), 'dropping a WebP')
  check(!foreign().length, `opening: requests to ${foreign()}`)
  await close('opening')
}

// The sample that was asked for last is the one that is seen, whichever comes first.
async function testSamples(base) {
  const { page, close } = await openPage(base)
  await answered(page, 'cat.jpg')
  await page.evaluate(() => {
    const real = fetch
    globalThis.held = []
    globalThis.fetch = async (url, options) => {
      if (/rocket/.test(url)) return new Response('', { status: 503 })
      if (/coffee/.test(url)) await new Promise((done) => held.push(done))
      return real(url, /coffee/.test(url) ? {} : options) // as if it came before it could be cancelled
    }
  })
  const release = () => page.evaluate(() => held.splice(0).forEach((done) => done()))
  await page.click('[data-sample="coffee"]')
  await page.click('[data-sample="horse"]')
  check(await answered(page, 'horse.jpg'), 'samples: the quick one')
  await release()
  await new Promise((done) => setTimeout(done, 500))
  check(await answered(page, 'horse.jpg') && page.url().endsWith('sample=horse'), `samples: the slow one comes too late: ${await text(page, '#caption .file')}`)
  await page.click('[data-sample="coffee"]')
  await drop(page, sample('cat'))
  await release()
  await new Promise((done) => setTimeout(done, 500))
  check(await answered(page, 'my cat.jpg'), 'samples: a picture that was dropped meanwhile stays')
  await page.click('[data-sample="rocket"]')
  check(await noticed(page, 'error.sample'), 'samples: one that cannot be fetched')
  await page.click('[data-sample="horse"]')
  check(await answered(page, 'horse.jpg') && !(await visible(page, '#notice')), 'samples: then all is well')
  await close('samples')
}

async function testPictureErrors(base) {
  const { page, close } = await openPage(base, { quiet: true })
  await answered(page, 'cat.jpg')
  const jpeg = readFileSync(join(root, 'web/samples/cat.jpg'))
  const junk = Buffer.from('\x89PNG\r\n\x1a\n junk', 'latin1')
  for (const [name, bytes] of [['empty.jpg', ''], ['text.jpg', 'plain text'], ['cut.jpg', jpeg.subarray(0, 2000)], ['junk.png', junk]]) {
    await drop(page, encoded(name, 'image/jpeg', bytes))
    check(await noticed(page, 'error.picture'), `picture: ${name} is refused`)
    check(!(await visible(page, '#answer')), `picture: ${name} leaves no old answer`)
    await drop(page, sample('cat'))
    check(await answered(page, 'my cat.jpg') && !(await visible(page, '#notice')), `picture: after ${name} all is well`)
  }
  await drop(page, encoded('notes.txt', 'text/plain', 'hello'))
  check(await noticed(page, 'error.not-picture'), 'picture: another kind of file')
  await close('picture errors')
}

async function enter(page, address) {
  await page.click('#model-button')
  await page.$eval('#url', (input) => { input.value = '' })
  await page.type('#url', address)
  await page.click('#url-form button')
}

// The model that comes with the engine answers at once; a picture may be of none of its classes.
async function testBuiltIn(base) {
  const { page, foreign, close } = await openPage(base)
  check((await answered(page, 'cat')) && !(await visible(page, '#invite')), 'built in: it answers on opening')
  check((await text(page, '.knows')).includes('airplane, automobile, bird'), 'built in: which classes it knows')
  check((await text(page, '#model-button .name')) === words['model.built-in'], `built in: its name is ${await text(page, '#model-button .name')}`)
  const best = await page.$eval('#scores .score', (element) => parseFloat(element.textContent))
  check(best > 0 && (await page.$$eval('#scores li', (list) => list.length)) === 5, 'built in: five of ten classes')
  // The same model, sure of nothing below 100 %: a word of its GGUF, behind the key and its type.
  const bytes = readFileSync(join(root, 'wasm/models/classify.gguf'))
  const key = 'vit.known_percent'
  bytes.writeUInt32LE(100, bytes.indexOf(key) + key.length + 4)
  await drop(page, encoded('humble.gguf', '', bytes))
  const says = (none) => document.querySelector('#answer .top-label').textContent === none
  check(await until(page, says, words['answer.none']), 'built in: none that it knows, where its best score is too low')
  check(!foreign().length, `built in: requests ${foreign()}`)
  await close('built in')
}

// A page whose script does not come says so after a while.
async function testStuck(base) {
  const page = await browser.newPage()
  await block(page, /app\/main\.js/)
  await page.goto(base)
  const isSeen = () => page.$eval('.stuck', (line) => getComputedStyle(line).visibility === 'visible' && line.checkVisibility())
  check(!(await isSeen()), 'stuck: not at once')
  await page.evaluate(() => document.getAnimations().forEach((one) => one.finish()))
  check(await isSeen() && /file.*웹 서버/s.test(await text(page, '.stuck')), 'stuck: it is said')
  await page.close()
}

// Somebody's first visit, on a phone: an answer on a picture of their own with two actions.
async function testPhone(base) {
  const { page, close } = await openPage(base, { width: 390, height: 844, isPhone: true })
  check(await answered(page, 'cat') && await page.evaluate(() => matchMedia('(pointer: coarse)').matches), 'phone: it answers on opening')
  const stripes = join(tmpdir(), `stripes-${process.pid}.png`)
  writeFileSync(stripes, png(Array.from({ length: 96 * 96 }, (_, i) => (((i % 96) / 12) & 1) * 255), 96))
  atEnd.push(() => unlinkSync(stripes))
  for (const [path, label] of [['web/samples/horse.jpg', 'horse'], ['web/samples/cat.jpg', 'cat'], [stripes, words['answer.none']]]) {
    const [chooser] = await Promise.all([page.waitForFileChooser(), page.tap('#choose')])
    await chooser.accept([resolve(root, path)])
    check(await answered(page, basename(path)) && (await text(page, '#answer .top-label')) === label, `phone: ${path} is ${await text(page, '#answer .top-label')}`)
    check(await page.$eval('#answer .top-label', (element) => element.getBoundingClientRect().bottom <= innerHeight), `phone: the answer on ${path} is seen`)
  }
  await close('phone')
}

// What is under way when something else is chosen.
async function testChanges(base) {
  const ask = await openPage(`${base}#classify?model=${encodeURIComponent('https://example.com/model.gguf')}`)
  check(await noticed(ask.page, 'ask') && await answered(ask.page, 'cat'), 'question: it stands beside an answer')
  check(ask.page.url().includes('model=https'), 'question: the link stays while it stands')
  await drop(ask.page, encoded('notes.txt', 'text/plain', 'words'))
  check(await noticed(ask.page, 'error.not-picture'), 'question: something else is told')
  await ask.page.click('#notice .actions button:last-child')
  check(await noticed(ask.page, 'ask'), 'question: then it is asked again')
  await ask.page.click('#notice .actions button:last-child')
  check(!(await visible(ask.page, '#notice')) && !ask.page.url().includes('model='), 'question: dismissed')
  check(await ask.page.evaluate(() => document.activeElement.id === 'panel'), 'question: the focus stays in the panel')
  check(!ask.foreign().length, `question: requests to ${ask.foreign()}`)
  await ask.close('question')

  const { page, close } = await openPage(base)
  await answered(page, 'cat')
  await page.evaluate(() => {
    document.querySelector('#compute [value="int8"]').click()
    document.querySelector('#tabs [data-tab="look"]').click()
  })
  check(await until(page, () => document.querySelector('#foot-runs').textContent.includes('int8') && document.querySelector('#look .how').textContent),
    'arithmetic: another tab is open when it has changed')
  check(page.url().includes('compute=int8'), 'arithmetic: the link says so')
  await page.click('#tabs [data-tab="compare"]')
  await drop(page, sample('cat'), sample('coffee'), sample('horse'))
  const one = words['several.title'].replace('{name}', 'my cat.jpg')
  check(await until(page, (title) => document.querySelector('#notice h2')?.textContent === title, one), 'several pictures: a tab that takes one says so')
  await page.click('#notice .main')
  check(await until(page, () => document.querySelectorAll('#batch tbody tr').length === 3), 'several pictures: Classify takes them all')
  await page.waitForFunction((label) => document.querySelector('#batch header button').textContent === label, {}, words['batch.close'])
  await page.focus('#batch th:nth-child(3) button')
  await page.keyboard.press('Enter')
  check(await page.evaluate(() => document.activeElement.matches('#batch th[aria-sort="descending"] button')), 'several pictures: sorted by keyboard')
  await page.click('#batch header button')
  check(await page.evaluate(() => document.activeElement.id === 'panel'), 'several pictures: the focus does not get lost')
  await page.click('#model-button')
  await close('changes')
}

// Picks a folder, as the browser gives one: files by their paths.
const pickFolder = (page, files) => page.evaluate((files) => {
  const list = Object.entries(files).map(([path, { bytes }]) =>
    Object.defineProperty(new File([Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0))], path.split('/').at(-1)), 'webkitRelativePath', { value: path }))
  const input = document.querySelector('#folder-input')
  Object.defineProperty(input, 'files', { value: list, configurable: true })
  input.dispatchEvent(new Event('change'))
  delete input.files
}, files)

// What is typed, and the address that it is; what a model at an address is called.
const TYPED = {
  'google/vit': 'https://huggingface.co/google/vit', ' timm/vit_tiny.augreg_in21k ': 'https://huggingface.co/timm/vit_tiny.augreg_in21k',
  'google/vit/': 'https://huggingface.co/google/vit/', 'v1.5/vit': 'https://huggingface.co/v1.5/vit', 'hf.co/google/vit': 'https://hf.co/google/vit',
  'huggingface.co/google': 'https://huggingface.co/google', 'example.com/models': 'https://example.com/models', 'example.com/models/': 'https://example.com/models/',
  'example.com/a/vit.gguf': 'https://example.com/a/vit.gguf', 'localhost:8000/model/': 'http://localhost:8000/model/', '127.0.0.1/model': 'http://127.0.0.1/model',
  'https://example.com/%zz': 'https://example.com/%zz', 'models/vit.gguf': null, 'garbage': null, 'file:///etc/passwd': null, 'javascript:alert(1)': null, '': null
}
const CALLED = {
  'https://huggingface.co/google/vit': 'google/vit', 'https://huggingface.co/google/vit/': 'google/vit', 'https://huggingface.co/google/vit/tree/main': 'google/vit',
  'https://hf.co/google/vit/resolve/main/': 'google/vit', 'https://www.huggingface.co/google/vit/blob/main/model.safetensors?download=true': 'google/vit',
  'https://huggingface.co/google': 'google', 'https://example.com/models/50%25%20vit/': '50% vit', 'https://example.com/%zz': '%zz'
}

async function testAddresses(page) {
  const [typed, called] = await page.evaluate(async (typed, called) => {
    const { fromAddress, readAddress } = await import('/web/app/model.js')
    return [typed.map((text) => readAddress(text)?.href ?? null), called.map((href) => fromAddress(new URL(href)).name)]
  }, Object.keys(TYPED), Object.keys(CALLED))
  for (const [i, [text, wanted]] of Object.entries(TYPED).entries()) check(typed[i] === wanted, `address: '${text}' is ${typed[i]}, expected ${wanted}`)
  for (const [i, [href, wanted]] of Object.entries(CALLED).entries()) check(called[i] === wanted, `address: ${href} is called ${called[i]}, expected ${wanted}`)
}

// Whether a model comes, where `loads` has what is said.
const loaded = (page) => until(page, () => loads.some((line) => line.startsWith('Model loaded')))

// Without room, nothing is kept, and that is said; what is large and kept, the browser is asked once to keep for good.
async function testRoom(page, address) {
  const load = async () => {
    await page.evaluate(() => loads.splice(0))
    await enter(page, address)
    check(await loaded(page), 'room: it is loaded')
    await new Promise((done) => setTimeout(done, 300))
    await page.click('#model-button')
  }
  const listed = () => until(page, (host) => document.querySelector('#model-list li:last-child').textContent.includes(host), new URL(address).host)
    .then(() => text(page, '#model-list li:last-child'))
  await page.evaluate(() => {
    const { put } = Cache.prototype
    globalThis.giveRoom = () => { Cache.prototype.put = put }
    Cache.prototype.put = async (_, response) => {
      await response.body.cancel()
      throw new DOMException('no room', 'QuotaExceededError')
    }
    globalThis.asked = 0
    navigator.storage.persist = async () => { asked++ }
  })
  await load()
  await listed()
  check(await until(page, (word) => document.querySelector('#model-list li:last-child').textContent.includes(word), words['drawer.unkept']), `room: there is none: ${await listed()}`)
  await page.click('#drawer-close')
  await page.evaluate(async (address) => {
    giveRoom()
    await (await caches.open('vit-wasm')).put(`${address}large`, new Response('', { headers: { 'content-length': '20000000' } }))
  }, address)
  for (let i = 0; i < 2; i++) {
    await load()
    check(await until(page, () => /20\.\d\sMB kept here/.test(document.querySelector('#model-list li:last-child').textContent)), `room: there is some: ${await listed()}`)
    await page.click('#drawer-close')
  }
  check((await page.evaluate(() => asked)) === 1, `room: the browser was asked ${await page.evaluate(() => asked)} times`)
}

// broken: a host whose own model cannot be read.
async function testModels(base, broken, elsewhere) {
  const { page, close } = await openPage(broken, { quiet: true })
  check(await invited(page) && await noticed(page, 'error.format'), 'no model: an invitation')
  check((await text(page, '#foot-runs')) === words['foot.none'], 'no model: the foot says so')
  await page.click('#model-button')
  await page.click('#url-form button')
  check((await text(page, '#url-problem')) === words['url.empty'], 'address: empty')
  await page.type('#url', 'not an address')
  await page.click('#url-form button')
  check((await text(page, '#url-problem')) === words['url.malformed'], 'address: malformed')
  await page.$eval('#url', (input) => { input.value = 'http://192.0.2.1/model.gguf' })
  await page.click('#url-form button')
  check((await text(page, '#url-problem')) === words['url.insecure'], 'address: by http')
  await page.click('#drawer-close')
  await testAddresses(page)
  for (const [path, key] of [['/none.gguf', '404'], ['/page.gguf', 'html'], ['/private.gguf', 'network'], ['/short/', 'truncated'], ['/%zz', '404'], ['/changing.gguf', 'changed']]) {
    await enter(page, elsewhere.url + path)
    check(await noticed(page, `error.${key}`), `address: ${path} says: ${await text(page, '#notice')}`)
    check(await visible(page, '#invite'), `address: after ${path} the invitation is back`)
  }

  await enter(page, `${elsewhere.url}/slow.gguf`)
  check(await until(page, () => document.querySelector('#loading .count').textContent.startsWith('8 of 16,777,216')), 'loading: progress to the byte')
  check(elsewhere.open.size === 1, 'loading: it is under way')
  const network = (type) => page.evaluate((type) => {
    dispatchEvent(new Event(type))
    return ['#loading .rate', '#live'].map((selector) => document.querySelector(selector).textContent)
  }, type)
  check((await network('offline')).every((line) => line === words['loading.waiting']), `loading: without a network it waits: ${await network('offline')}`)
  check((await network('online')).every((line) => line !== words['loading.waiting']), 'loading: no longer')
  check(await until(page, () => {
    const button = document.querySelector('#cancel')
    button.focus()
    return document.activeElement === button
  }), 'loading: it can be cancelled') // once it has taken a while
  await page.keyboard.press('Enter')
  check(await invited(page), 'loading: cancelled, the invitation is back')
  for (let i = 0; i < 50 && elsewhere.open.size; i++) await new Promise((done) => setTimeout(done, 100))
  check(elsewhere.open.size === 0, 'loading: cancelled, the connection is closed')
  check(await noticed(page, 'cancelled'), `loading: that it was cancelled is said: ${await text(page, '#notice')}`)
  await page.click('#notice .main')
  check(await until(page, () => document.querySelector('#loading .count').checkVisibility() && /16,777,216|16\.8/.test(document.querySelector('#loading .bytes').textContent)) && elsewhere.open.size === 1, 'loading: and it can be loaded again')
  check(await until(page, () => document.querySelector('#loading .count').textContent.startsWith('9 of 16,777,216')) && elsewhere.asked.join() === 'all,bytes=8-', `loading: only the rest of it: ${elsewhere.asked}`)
  await page.click('#cancel')
  check(await noticed(page, 'cancelled'), 'loading: cancelled again')

  const config = fileOf(join(tiny, 'config.json'), 'config.json', 'application/json')
  const weights = fileOf(join(tiny, 'model.safetensors'), 'model.safetensors')
  await drop(page, weights)
  check(await noticed(page, 'error.no-config'), 'files: weights without their config')
  await drop(page, config)
  check(await noticed(page, 'error.no-weights'), 'files: a config without weights')
  await drop(page, { ...weights, name: 'MODEL.GGUF' })
  check(await noticed(page, 'error.no-config'), `files: not what the name in capitals says: ${await text(page, '#notice')}`)
  await drop(page, config, { ...weights, bytes: weights.bytes.slice(0, 4000) })
  check(await noticed(page, 'error.truncated'), 'files: a part of the weights')
  const whole = readFileSync(join(tiny, 'model.safetensors')).toString('latin1')
  await drop(page, config, encoded('model.safetensors', '', Buffer.from(whole.replace('"F32"', '"I32"'), 'latin1')))
  check(await noticed(page, 'error.unsupported'), `files: a tensor of another type: ${await text(page, '#notice')}`)
  const memory = await page.evaluate(async () => (await import('/web/app/errors.js')).describe({ code: 'out-of-memory', message: 'no memory for the engine' }, 'model'))
  check(memory.title === words['error.out-of-memory.title'] && memory.detail.includes('no memory'), `no memory: it says ${memory.title}`)
  await drop(page, { ...weights, name: 'model.gguf' })
  check(await noticed(page, 'error.no-config'), `files: not what the name says: ${await text(page, '#notice')}`)
  await drop(page, weights, config)
  check(await answered(page, 'cat.jpg'), 'files: weights and config')
  check(!(await visible(page, '#invite')) && !(await visible(page, '#notice')), 'files: nothing else is left over')

  await page.evaluate(() => {
    globalThis.loads = []
    new MutationObserver(() => loads.push(document.querySelector('#live').textContent)).observe(document.querySelector('#live'), { childList: true, characterData: true, subtree: true })
  })
  await pickFolder(page, { '50% vit/config.json': config, '50% vit/model.safetensors': weights })
  check(await loaded(page) && await answered(page, 'cat.jpg'), `files: a folder with % in its name: ${await page.evaluate(() => loads)}`)
  await page.evaluate(() => loads.splice(0))
  const [wrong, half] = [encoded('config.json', '', '{'), { ...weights, bytes: weights.bytes.slice(0, 4000) }]
  const others = ['zoo/a/deep/model.gguf', 'zoo/c 10/model.safetensors', 'zoo/c 2/other.safetensors']
  await pickFolder(page, {
    'zoo/config.json': wrong, [others[0]]: half, [others[1]]: half, 'zoo/c 10/config.json': wrong,
    'zoo/c 2/model.safetensors': weights, 'zoo/c 2/config.json': config, [others[2]]: half
  })
  check(await loaded(page) && await answered(page, 'cat.jpg'), `files: of several models one: ${await page.evaluate(() => loads)}`)
  check((await text(page, '#notice h2')) === filled('others.title', { name: 'c 2' }) && (await text(page, '#notice p')) === filled('others.text', { names: others.join(', ') }),
    `files: the others are named: ${await text(page, '#notice')}`)

  await enter(page, `${elsewhere.url}/good/`)
  check(await until(page, (address) => location.hash.includes(encodeURIComponent(address)), `${elsewhere.url}/good/`), 'address: the link names it')
  check(await answered(page, 'cat.jpg'), 'address: a folder of another site')
  check((await text(page, '#foot-requests')).includes(new URL(elsewhere.url).host), 'address: the foot counts what was fetched')
  await page.click('#model-button')
  check((await page.$$('#model-list button')).length >= 4 && /1\.4 MB · MIT/.test(await text(page, '#model-list')) && /346\.3 MB · Apache-2\.0 · google\//.test(await text(page, '#model-list')), `drawer: the list says ${await text(page, '#model-list')}`)
  check(await until(page, () => /\d/.test(document.querySelector('#kept p').textContent)) && await visible(page, '#kept'), 'drawer: what is kept')
  const sheet = await (await page.$('#drawer')).boundingBox()
  await page.mouse.click(sheet.x + 4, sheet.y + sheet.height - 4)
  check(await visible(page, '#drawer'), 'drawer: a click on its edge leaves it open')
  await page.mouse.click(4, 4)
  check(!(await visible(page, '#drawer')), 'drawer: one outside closes it')
  await page.click('#model-button')
  const [remove] = await page.$$('#model-list li:last-child .icon')
  check(await until(page, (host) => /kept here/.test(document.querySelector('#model-list li:last-child').textContent)
    && document.querySelector('#model-list li:last-child').textContent.includes(host), new URL(elsewhere.url).host), `drawer: the model that was loaded is in the list: ${await text(page, '#model-list')}`)
  await remove.click()
  const gone = async () => (await (await caches.open('vit-wasm')).keys()).every(({ url }) => !url.includes('/good/')) // the config of /short/ stays
  check(await until(page, gone) && await until(page, () => document.querySelectorAll('#model-list li').length === 4), 'drawer: one model is thrown away')
  await page.click('#drawer-close')
  await enter(page, `${elsewhere.url}/good/`)
  check(await until(page, () => localStorage.models?.includes('/good/')), 'drawer: it is loaded again')
  await page.click('#model-button')
  check(await until(page, () => !document.querySelector('#kept').hidden), 'drawer: and kept again')
  await page.click('#kept-clear')
  check(await until(page, () => document.querySelector('#kept').hidden), 'drawer: it is thrown away')
  await page.click('#drawer-close')
  await testRoom(page, `${elsewhere.url}/good/`)
  await enter(page, `${elsewhere.url}/none.gguf`)
  check(await noticed(page, 'error.404'), 'address: a later load fails')
  check(await visible(page, '#answer') && await visible(page, '#runs'), 'address: what was there stays')
  await drop(page, sample('coffee'))
  check(await answered(page, 'my coffee.jpg'), 'address: then the old model still answers')
  await close('models')

  const link = await openPage(`${base}#classify?sample=coffee&model=${encodeURIComponent(`${elsewhere.url}/good/`)}`, { quiet: true })
  check(await noticed(link.page, 'ask'), 'link: it asks before another site is asked')
  check(!link.foreign().length, 'link: nothing was fetched yet')
  await link.page.click('#notice button.main')
  check(await answered(link.page, 'coffee.jpg'), 'link: then model and sample are there')
  await link.close('link')
}

async function testKeyboard(base) {
  const { page, close } = await openPage(base)
  await answered(page, 'cat.jpg')
  const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.dataset.sample || document.activeElement.className)
  const reached = []
  while (reached.length < 20 && reached.at(-1) !== 'coffee') {
    await page.keyboard.press('Tab')
    reached.push(await focused())
  }
  for (const id of ['skip', 'model-button', 'theme', 'choose', 'camera', 'paste', 'grid', 'cat', 'coffee']) check(reached.includes(id), `keyboard: ${id} is not among ${reached}`)
  await page.keyboard.press('Enter')
  check(await answered(page, 'coffee.jpg'), 'keyboard: a sample')
  check(page.url().endsWith('#classify?sample=coffee'), `keyboard: the link is ${page.url()}`)
  await page.focus('#grid')
  await page.keyboard.press(' ')
  check((await page.$eval('#grid', (button) => button.getAttribute('aria-pressed'))) === 'false', 'keyboard: the grid goes')
  await page.focus('#model-button')
  await page.keyboard.press('Enter')
  check(await visible(page, '#drawer'), 'keyboard: the drawer opens')
  await page.keyboard.press('Escape')
  check(!(await visible(page, '#drawer')) && (await focused()) === 'model-button', 'keyboard: it closes, back to its button')
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor)
  const before = await ground()
  await page.focus('#theme')
  await page.keyboard.press('Enter')
  check((await ground()) !== before, 'keyboard: the theme changes')
  const nameless = await page.$$eval('button, a, input:not([hidden]), img, progress', (all) => all.filter((element) =>
    !(element.textContent.trim() || element.getAttribute('aria-label') || element.alt || element.querySelector('img[alt]') || element.labels?.length)).map((element) => element.outerHTML))
  check(!nameless.length, `names for screen readers: none for ${nameless}`)
  await close('keyboard')
}

async function testLayout(base) {
  for (const width of [360, 768, 900, 1440]) {
    const { page, close } = await openPage(base, { width, height: 740 })
    await answered(page, 'cat.jpg')
    if (browserName === 'chromium') {
      const shift = await page.evaluate(() => new Promise((done) => {
        new PerformanceObserver((list) => done(list.getEntries().reduce((sum, entry) => sum + entry.value, 0))).observe({ type: 'layout-shift', buffered: true })
        setTimeout(done, 300, 0)
      }))
      check(shift < 0.02, `layout: ${width} px: things shifted by ${shift}`)
    }
    const fits = () => page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)
    await drop(page, { ...sample('cat'), name: `${'a_very_long_name_without_a_break'.repeat(4)}.jpg` }, sample('horse'))
    await until(page, () => document.querySelectorAll('#batch tbody tr').length === 2)
    check(await fits(), `layout: ${width} px with a table scrolls sideways`)
    await page.click('#model-button')
    check(await fits(), `layout: ${width} px with the drawer scrolls sideways`)
    await close(`layout, ${width} px`)
  }
}

// Pictures of the page to look at, build/test/screens; nothing moves for those who do not want it to.
async function testScreens(base) {
  const folder = join(root, 'build/test/screens')
  mkdirSync(folder, { recursive: true })
  for (const scheme of ['light', 'dark'])
    for (const width of [360, 768, 1440]) {
      const { page, close } = await openPage(base, { width, height: 900 })
      await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }, { name: 'prefers-reduced-motion', value: 'reduce' }])
      await answered(page, 'cat')
      const seen = await page.evaluate(() => ({
        isDark: Number(getComputedStyle(document.body).backgroundColor.match(/\d+/)[0]) < 128,
        moving: [...document.querySelectorAll('*')].filter((element) => parseFloat(getComputedStyle(element).transitionDuration) > 0.01).map((element) => element.className),
      }))
      check(seen.isDark === (scheme === 'dark') && !seen.moving.length, `screens: ${width} px, ${scheme}: ${JSON.stringify(seen)}`)
      await page.screenshot({ path: join(folder, `${width}-${scheme}.png`), fullPage: true })
      await close(`screens, ${width} px, ${scheme}`)
    }
}

// Keys are answered while 12 megapixels are decoded and classified.
async function testLarge(base) {
  const { page, close } = await openPage(base)
  await answered(page, 'cat.jpg')
  await page.evaluate(async () => {
    const canvas = new OffscreenCanvas(4000, 3000)
    const pen = canvas.getContext('2d')
    for (let i = 0; i < 4000; i++) {
      pen.fillStyle = `hsl(${(i * 37) % 360} 60% ${(i * 13) % 100}%)`
      pen.fillRect((i * 97) % 4000, (i * 61) % 3000, 200, 150)
    }
    const transfer = new DataTransfer()
    globalThis.large = new File([await canvas.convertToBlob({ type: 'image/jpeg', quality: 0.9 })], 'large.jpg', { type: 'image/jpeg' })
    transfer.items.add(large)
    const run = globalThis.run = { keys: 0, gap: 0, ended: 0, began: performance.now() }
    addEventListener('keydown', () => { run.keys += run.ended ? 0 : 1 })
    new MutationObserver(() => { run.ended ||= performance.now() }).observe(document.querySelector('#scores'), { childList: true })
    let last = run.began
    const timer = setInterval(() => {
      const now = performance.now()
      run.gap = Math.max(run.gap, now - last)
      last = now
      if (run.ended) clearInterval(timer)
    }, 5)
    document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: transfer, bubbles: true, cancelable: true }))
  })
  for (let i = 0; i < 1000 && !(await page.evaluate(() => run.ended)); i++) await page.keyboard.press('Shift')
  check(await answered(page, 'large.jpg'), '12 megapixels: an answer')
  const { keys, gap, began, ended } = await page.evaluate(() => run)
  console.log(`12 megapixels: ${Math.round(ended - began)} ms; meanwhile ${keys} keys were answered, longest pause of the page ${Math.round(gap)} ms`)
  check(keys > 0, '12 megapixels: keys are answered meanwhile')

  // to fill it in, it is shrunk
  await page.evaluate(() => {
    globalThis.tasks = [0]
    if (PerformanceObserver.supportedEntryTypes.includes('longtask')) new PerformanceObserver((list) => tasks.push(...list.getEntries().map(({ duration }) => duration))).observe({ type: 'longtask' })
  })
  await page.click('#tabs [data-tab="fill"]')
  check(await until(page, () => document.querySelector('#fill .controls').checkVisibility()), '12 megapixels: filled in')
  await new Promise((done) => setTimeout(done, 300)) // tasks are told later
  const task = await page.evaluate(() => Math.max(...tasks))
  if (browserName === 'chromium') console.log(`12 megapixels: to fill them in, the longest task is ${Math.round(task)} ms`)
  check(task < 100, `12 megapixels: to fill them in, a task of ${task} ms`)
  await page.click('#tabs [data-tab="classify"]')

  // a model that takes its place ends the classification under way; that is no failure
  await page.evaluate((parts) => {
    globalThis.notices = []
    new MutationObserver(() => notices.push(document.querySelector('#notice').textContent)).observe(document.querySelector('#notice'), { childList: true })
    const files = parts.map(({ name, bytes }) => new File([Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0))], name))
    for (const list of [[large], files]) {
      const transfer = new DataTransfer()
      for (const file of list) transfer.items.add(file)
      document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: transfer, bubbles: true, cancelable: true }))
    }
  }, [fileOf(join(tiny, 'config.json'), 'config.json'), fileOf(join(tiny, 'model.safetensors'), 'model.safetensors')])
  check(await until(page, (start) => document.querySelector('#live').textContent.startsWith(start), words['loading.done'].split('{')[0]), '12 megapixels: another model meanwhile')
  check(await answered(page, 'large.jpg'), '12 megapixels: the new model answers')
  check((await page.evaluate(() => notices)).every((notice) => !notice), `12 megapixels: another model meanwhile is no error: ${await page.evaluate(() => notices)}`)
  await close('12 megapixels')
}

async function testReal() {
  if (!existsSync(join(real, 'model.safetensors'))) return console.log(`skipped: the real model, which is not at ${real}`)
  const { page, close } = await openPage(`${await serve('--model', real)}#classify?sample=coffee`)
  check(await answered(page, 'coffee.jpg') && (await text(page, '.top-label')) === 'espresso', `real model: the coffee is: ${await page.$eval('#panel', (panel) => panel.innerText)}`)
  await page.click('[data-sample="cat"]')
  check(await answered(page, 'cat.jpg') && / cat|tabby/i.test(await text(page, '.top-label')), `real model: the cat is ${await text(page, '.top-label')}`)
  await close('real model')
}

// What a folder's weights may be besides one safetensors file, and the index by its name.
async function testFolders() {
  const made = mkdtempSync(join(tmpdir(), 'vit-folders-'))
  atEnd.push(() => rmSync(made, { recursive: true }))
  makeFolders(tiny, '', made)
  for (const path of ['several', 'several/model.safetensors.index.json', 'npz', 'npz/model.npz']) {
    const { page, close } = await openPage(`${await serve('--model', join(made, path))}#classify?sample=cat`)
    check(await answered(page, 'cat.jpg'), `served folder: ${path}: ${await page.$eval('#panel', (panel) => panel.innerText)}`)
    await close(`served folder: ${path}`)
  }
}

// A camera of moving pictures, which nobody is asked about.
const FAKE_CAMERA = ['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream']

let browser
try {
  testWords()
  const base = await serve('--model', tiny)
  const bare = await serve()
  await testServer(base)
  testView()
  browser = await launch(browserName, browserName === 'chromium' ? FAKE_CAMERA : [])
  setBrowser(browser)
  await testOpening(base)
  await testBatch(base, browserName)
  await testSamples(base)
  await testPictureErrors(base)
  await testBuiltIn(bare)
  await testStuck(bare)
  await testChanges(bare)
  if (browserName === 'chromium') await testPhone(bare)
  if (browserName === 'chromium') await testScreens(bare)
  const elsewhere = await startElsewhere()
  await testModels(bare, await serve('--model', join(root, 'tests/golden/errors/gguf/alignment_0.gguf')), elsewhere)
  await testFolders()
  await testKeyboard(base)
  await testLayout(base)
  await testLarge(base)
  await testTabs(base, browserName)
  await testSight(base, bare, elsewhere, browserName)
  await testReal()
} catch (error) {
  check(false, error.stack)
} finally {
  await browser?.close().catch(() => {})
  for (const end of atEnd) end()
}
console.log(`${results.passed} passed, ${results.failed} failed`)
process.exit(results.failed ? 1 : 0)
