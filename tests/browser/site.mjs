// A built site, as hosts of static files serve it:  node tests/browser/site.mjs [chromium|firefox]
// Below a path, without any header: it isolates itself, works offline, and changes to a new version as a whole. ESBUILD: the
// program that packs its page; without it the page's files are as they are.

import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { basename, extname, join, normalize } from 'node:path'
import { launch } from './launch.mjs'
import { answered, check, drop, openPage, results, root, sample, setBrowser, text, tiny, until, visible } from './visit.mjs'
import words from '../../web/words/en.js'
import korean from '../../web/words/ko.js'

const browserName = process.argv[2] ?? 'chromium'
const work = join(root, 'build/test', `site-${browserName}`)
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.json': 'application/json', '.jpg': 'image/jpeg', '.svg': 'image/svg+xml', '.wasm': 'application/wasm', '.webmanifest': 'application/manifest+json' }

// -> the folder of the site that this tree makes
function build(name, tree = root) {
  const pack = process.env.ESBUILD ? ['--esbuild', process.env.ESBUILD] : []
  execFileSync(process.execPath, [join(tree, 'web/site.mjs'), join(work, name), ...pack])
  return join(work, name)
}

// A tree with another word in it.
function changedTree() {
  const tree = join(work, 'tree')
  for (const folder of ['web', 'wasm', 'LICENSE']) cpSync(join(root, folder), join(tree, folder), { recursive: true })
  const file = join(tree, 'web/words/en.js')
  writeFileSync(file, readFileSync(file, 'utf8').replace(/'choose': '[^']+'/, "'choose': 'Changed'"))
  return tree
}

// A folder of something else is left alone, a site is replaced.
function testFolder(site) {
  const other = join(work, 'other')
  mkdirSync(other)
  writeFileSync(join(other, 'mine.txt'), 'mine')
  const answer = spawnSync(process.execPath, [join(root, 'web/site.mjs'), other], { encoding: 'utf8' })
  check(answer.status === 1 && answer.stderr.startsWith(`${other}: it is not empty`) && readdirSync(other).join() === 'mine.txt', `site: a folder of something else: ${answer.stderr}`)
  writeFileSync(join(site, 'old.txt'), 'old')
  build(basename(site))
  check(!existsSync(join(site, 'old.txt')) && !existsSync(`${site}.part`), 'site: one of before is replaced')
}

// A server of plain files below /some/path/, or `at`, whose folder can be changed. asked: the paths that were. headers: of all
// answers. wait: ms before sw.js is sent.
async function serve(folder, { at = '/some/path/', port = 0, headers = {}, wait = 0 } = {}) {
  const state = { folder, asked: [] }
  const server = createServer(async ({ url }, response) => {
    const path = normalize(decodeURIComponent(url.split('?')[0]))
    state.asked.push(path)
    if (!path.startsWith(at)) return response.writeHead(404).end()
    if (path.endsWith('/sw.js')) await new Promise((done) => setTimeout(done, wait))
    const name = path.slice(at.length - 1).replace(/\/$/, '/index.html')
    try {
      const body = readFileSync(join(state.folder, name))
      response.writeHead(200, { 'Content-Type': TYPES[extname(name)] ?? 'application/octet-stream', 'Cache-Control': 'max-age=600', ...headers }).end(body)
    } catch {
      response.writeHead(404, { 'Content-Type': 'text/html' }).end('<!doctype html><title>Not found</title>')
    }
  })
  await new Promise((done) => server.listen(port, '127.0.0.1', done))
  state.url = `http://127.0.0.1:${server.address().port}${at}`
  state.close = () => new Promise((done) => (server.close(done), server.closeAllConnections()))
  return state
}

// For pages that reload themselves: what puppeteer waits for ends with the page, which may even get another process.
async function soon(page, test, ...args) {
  for (let i = 0; i < 150; i++) {
    if (await page.evaluate(test, ...args).catch(() => false)) return true
    await new Promise((done) => setTimeout(done, 100))
  }
  return false
}
const press = (page, selector) => page.evaluate((selector) => void document.querySelector(selector).click(), selector)
const isolatedPage = (page) => soon(page, () => document.documentElement.dataset.ready === '' && crossOriginIsolated)
const installed = (page) => page.evaluate(() => navigator.serviceWorker.ready.then(() => true))
const reload = async (page) => {
  await page.reload()
  await page.waitForFunction(() => document.documentElement.dataset.ready === '')
}
const versionOf = (page) => page.evaluate(() => document.documentElement.dataset.version)
const update = (page) => page.evaluate(async () => {
  const registration = await navigator.serviceWorker.getRegistration()
  return registration.update().then(() => 'found', () => 'failed')
})

// The first visit: an answer on one thread, then, once all files are kept, isolation by one reload and no more.
async function testFirstVisit(host) {
  const { page, close, foreign } = await openPage(`${host.url}web/`, { quiet: true })
  let documents = 0
  page.on('domcontentloaded', () => documents++)
  check(await isolatedPage(page) && await answered(page, 'cat.jpg'), 'first visit: it isolates itself')
  check((await text(page, '#foot-runs')).includes(`· ${words['foot.isolated']} ·`), `first visit: the foot says: ${await text(page, '#foot-runs')}`)
  check(await page.evaluate(() => navigator.hardwareConcurrency < 2 || /[2-9] threads/.test(document.querySelector('#foot-runs').textContent)), 'first visit: threads')
  await new Promise((done) => setTimeout(done, 500))
  check(documents === 1, `first visit: ${documents} reloads`)
  check(!foreign().length && (await text(page, '#foot-requests')) === words['requests.none'], `first visit: requests to ${foreign()}`)
  check(host.asked.every((path) => path.startsWith('/some/path/')), `first visit: not below its path: ${host.asked.filter((path) => !path.startsWith('/some/path/'))}`)
  await close('first visit')
}

// Where there can be no worker, as in private windows: one thread, and it says so.
async function testWithoutWorker(folder) {
  const bare = join(work, 'bare')
  cpSync(folder, bare, { recursive: true })
  rmSync(join(bare, 'sw.js'))
  const host = await serve(bare)
  const { page, close } = await openPage(`${host.url}web/`, { quiet: true })
  check(await answered(page, 'cat.jpg'), 'without a worker: an answer')
  const foot = await text(page, '#foot-runs')
  check(foot.includes(words['threads.one']) && foot.includes(words['foot.shared']), `without a worker: the foot says: ${foot}`)
  check((await text(page, '#runs')).includes(words['isolated.no']), 'without a worker: why there is one thread')
  const inline = await page.evaluate(() => {
    document.head.append(Object.assign(document.createElement('script'), { textContent: 'globalThis.inlineRan = true' }))
    return globalThis.inlineRan ?? document.querySelector('meta[http-equiv=Content-Security-Policy]').content
  })
  check(typeof inline === 'string' && inline.startsWith("default-src 'self'; script-src 'self' 'wasm-unsafe-eval';"), `without headers: the page's own policy holds: ${inline}`)
  await close('without a worker')
  await host.close()
}

// One who has begun to use the page, with or without pointer and keys, is asked before it is opened again.
async function testInUse(folder) {
  const acts = {
    'a sample that was clicked by a screen reader': { act: (page) => press(page, '[data-sample="coffee"]'), after: 'coffee.jpg' },
    'a file that was chosen': { act: async (page) => (await page.$('#choose-input')).uploadFile(join(root, 'web/samples/coffee.jpg')), after: 'cat.jpg' }
  }
  for (const [what, { act, after }] of Object.entries(acts)) {
    const host = await serve(folder, { wait: 3000 })
    const { page, close } = await openPage(`${host.url}web/`, { quiet: true })
    await act(page)
    check(await until(page, (words) => document.querySelector('#update p').textContent === words, words['update.isolate']), `in use: ${what}: it is offered`)
    check(await answered(page, 'coffee.jpg') && !(await page.evaluate(() => crossOriginIsolated)), `in use: ${what}: not yet isolated`)
    await press(page, '#update-reload')
    check(await isolatedPage(page) && await answered(page, after), `in use: ${what}: then it is`)
    await close('in use')
    await host.close()
  }
}

async function testOffline(host, elsewhere) {
  const { page, close } = await openPage(`${host.url}web/`, { quiet: true })
  check(await answered(page, 'cat.jpg'), 'offline: at first')
  // a model of the reader's is kept apart from the page
  const address = `${elsewhere.url}model/`
  await page.evaluate((address) => {
    document.querySelector('#model-button').click()
    document.querySelector('#url').value = address
    document.querySelector('#url-form button').click()
  }, address)
  const uses = (name) => until(page, (name) => document.querySelector('#runs dd:nth-of-type(2)')?.textContent === name, name)
  check(await uses('vit_tiny_patch16_224') && await answered(page, 'cat.jpg'), 'offline: a model of another site, on an isolated page')
  check((await text(page, '#foot-requests')).includes(new URL(elsewhere.url).host), `offline: its request is told: ${await text(page, '#foot-requests')}`)
  const kept = await page.evaluate(async () => {
    const names = (await caches.keys()).filter((name) => name.startsWith('vit-wasm page'))
    const urls = (await Promise.all(names.map(async (name) => (await (await caches.open(name)).keys()).map(({ url }) => url)))).flat()
    return { names, foreign: urls.filter((url) => !url.startsWith(location.origin)) }
  })
  check(kept.names.length === 1 && !kept.foreign.length, `offline: it keeps ${JSON.stringify(kept)}`)

  const port = Number(new URL(host.url).port)
  await host.close()
  await elsewhere.close()
  await page.goto('about:blank')
  await page.goto(`${host.url}web/`)
  await reload(page)
  check(await answered(page, 'cat.jpg') && await page.evaluate(() => crossOriginIsolated), 'offline: reloaded')
  await drop(page, sample('rocket'))
  check(await answered(page, 'my rocket.jpg'), 'offline: a picture of one\'s own')
  await page.click('[data-sample="horse"]')
  check(await answered(page, 'horse.jpg'), 'offline: a sample')
  await press(page, '#language')
  check(await soon(page, (title) => document.title === title, korean['title.page'].replace('{tab}', korean['tab.classify'])) && await answered(page, 'horse.jpg'), 'offline: in Korean')
  await press(page, '#language')
  check(await soon(page, () => document.documentElement.dataset.ready === '' && document.documentElement.lang === 'en'), 'offline: in English')
  await page.goto(`${host.url}?from=here#look?sample=coffee`)
  check(await soon(page, () => location.pathname.endsWith('/web/') && document.documentElement.dataset.ready === ''), 'offline: its start page')
  check(await page.evaluate(() => location.search === '?from=here' && location.hash === '#look?sample=coffee'), `offline: a link to the start page leads on: ${page.url()}`)
  await page.goto(`${host.url}web/#classify?sample=horse&model=${encodeURIComponent(address)}`)
  await reload(page)
  check(await uses('vit_tiny_patch16_224') && await answered(page, 'horse.jpg') && !(await visible(page, '#notice')), `offline: a link to a model that is kept: ${await text(page, '#panel')}`)
  await close('offline')
  return serve(host.folder, { port })
}

// Half of a new version must never be seen; the whole one, when the reader asks for it.
async function testUpdate(host, next) {
  const { page, close } = await openPage(`${host.url}web/`, { quiet: true })
  await answered(page, 'cat.jpg')
  const old = await versionOf(page)
  const half = join(work, 'half')
  cpSync(host.folder, half, { recursive: true })
  for (const file of ['sw.js', 'web/index.html']) cpSync(join(next, file), join(half, file))
  host.folder = half
  check((await update(page)) === 'found', 'update: half of one is found')
  check(await until(page, async () => !(await navigator.serviceWorker.getRegistration()).installing), 'update: half of one ends')
  check(await page.evaluate(async () => !(await navigator.serviceWorker.getRegistration()).waiting), 'update: half of one is refused')
  await reload(page)
  check((await versionOf(page)) === old && await answered(page, 'cat.jpg'), 'update: meanwhile the old one works')
  check(!(await visible(page, '#update')), 'update: nothing is offered')

  host.folder = next
  await update(page)
  check(await until(page, (words) => document.querySelector('#update p').textContent === words, words['update.ready']), 'update: a whole one is offered')
  await page.click('[data-sample="coffee"]')
  check(await answered(page, 'coffee.jpg') && (await versionOf(page)) === old, 'update: until then all is as it was')
  const other = await openPage(`${host.url}web/`, { quiet: true })
  check((await versionOf(other.page)) === old && (await text(other.page, '#choose')) === words.choose, 'update: another tab has the old one too')
  await page.bringToFront()
  await press(page, '#update-reload')
  check(await until(page, (words) => document.querySelector('#update p').textContent === words, words['update.others']), 'update: not while another tab is open')
  await other.close('update, another tab')
  await press(page, '#update-reload')
  check(await soon(page, (label) => document.querySelector('#choose')?.textContent === label, 'Changed'), 'update: it is the new one')
  check((await versionOf(page)) !== old && await answered(page, 'coffee.jpg'), 'update: and it works')
  check(await page.evaluate(async () => (await caches.keys()).filter((name) => name.startsWith('vit-wasm page')).length) === 1, 'update: the old files are gone')
  await host.close()
  await reload(page)
  check((await text(page, '#choose')) === 'Changed' && await answered(page, 'coffee.jpg'), 'update: offline')
  await close('update')
}

// The development server where a site was before: soon the page is what the tree says.
async function testDevelopment(folder) {
  const host = await serve(folder, { at: '/', headers: { 'Cache-Control': 'no-cache' } })
  const { page, close } = await openPage(`${host.url}web/`, { quiet: true })
  check(await isolatedPage(page), 'development: at first the site')
  await host.close()
  const child = spawn(process.execPath, [join(root, 'web/serve.mjs'), '--port', new URL(host.url).port, '--model', tiny], { stdio: ['ignore', 'pipe', 'inherit'] })
  await new Promise((done) => child.stdout.once('data', done))
  await reload(page)
  check(await soon(page, async () => !(await navigator.serviceWorker.getRegistrations()).length && !(await caches.keys()).length), 'development: nothing is left of the site')
  await page.goto('about:blank')
  await page.goto(`${host.url}web/`)
  check(await answered(page, 'cat.jpg') && !(await versionOf(page)), 'development: its page')
  await close('development')
  child.kill()
}

// The manifest, as a browser that installs reads it.
async function testManifest(host) {
  const manifest = JSON.parse(readFileSync(join(host.folder, 'web/manifest.webmanifest')))
  for (const { src, sizes, type } of manifest.icons) {
    const bytes = readFileSync(join(host.folder, 'web', src))
    if (type === 'image/png') check(sizes === `${bytes.readUInt32BE(16)}x${bytes.readUInt32BE(20)}`, `manifest: ${src} is not ${sizes}`)
  }
  check(manifest.name && manifest.short_name && manifest.display === 'standalone' && manifest.start_url === './', 'manifest: name and start')
  if (browserName !== 'chromium') return
  const { page, close } = await openPage(`${host.url}web/`, { quiet: true })
  await installed(page)
  const session = await page.createCDPSession()
  const { errors } = await session.send('Page.getAppManifest')
  const { installabilityErrors } = await session.send('Page.getInstallabilityErrors')
  const found = installabilityErrors.map(({ errorId }) => errorId).filter((id) => id !== 'in-incognito')
  check(!errors.length && !found.length, `manifest: ${JSON.stringify(errors)} ${found}`)
  await close('manifest')
}

let browser
try {
  rmSync(work, { recursive: true, force: true })
  const first = build('first')
  testFolder(first)
  const second = build('second', changedTree())
  let host = await serve(first)
  cpSync(tiny, join(work, 'elsewhere/model'), { recursive: true })
  const elsewhere = await serve(join(work, 'elsewhere'), { headers: { 'Access-Control-Allow-Origin': '*' } })
  browser = await launch(browserName)
  setBrowser(browser)
  await testWithoutWorker(first)
  await testFirstVisit(host)
  await testManifest(host)
  host = await testOffline(host, elsewhere)
  await testUpdate(host, second)
  await testInUse(first)
  await testDevelopment(first)
} catch (error) {
  check(false, error.stack)
} finally {
  await browser?.close().catch(() => {})
}
console.log(`${results.passed} passed, ${results.failed} failed`)
process.exit(results.failed ? 1 : 0)
