// Runs the examples of README.md:  node tests/examples.mjs ESBUILD MODULES
// A block after `<!-- example FOLDER/FILE -->` is that file; what runs it as its reader would is here. MODULES: a node_modules with React.

import { execFileSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { basename, dirname, extname, join, resolve } from 'node:path'
import { launch } from './browser/launch.mjs'
import { check, results, root } from './browser/visit.mjs'

const [esbuild, modules] = process.argv.slice(2)
const work = join(root, 'build/test/examples')
const photo = (name) => join(root, `web/samples/${name}.jpg`)
const BLANK = '<!doctype html><meta charset="utf-8"><title>example</title><body><script type="module" src="page.js"></script>\n'
const README = readFileSync(join(root, 'README.md'), 'utf8')
const [MAP] = README.match(/<script type="importmap">.*<\/script>/)
const PATH = MAP.match(/\/node_modules[^"]*/)[0]
// What readers of an example have around it.
const AROUND = {
  'react/index.html': BLANK.replace('<script', '<main></main><script'),
  'offline/index.html': BLANK
}

function write(path, text) {
  mkdirSync(dirname(join(work, path)), { recursive: true })
  writeFileSync(join(work, path), text)
}

function bundle(folder, file) {
  execFileSync(esbuild, [file, '--bundle', '--format=esm', '--target=es2022', '--jsx=automatic', '--log-level=error', `--outfile=out/${file.replace('.jsx', '.js')}`], { cwd: join(work, folder), env: { ...process.env, NODE_PATH: resolve(modules) } })
}

// The folder's pages; what it bundled in their place, the package's files beside them.
async function serve(folder) {
  const types = { '.html': 'text/html', '.js': 'text/javascript', '.wasm': 'application/wasm', '.json': 'application/json' }
  const server = createServer(({ url }, response) => {
    const path = url.replace(/\?.*/, '').replace(/\/$/, '/index.html').slice(1)
    const found = [join(work, folder, 'out', path), join(work, folder, path), join(root, 'wasm', path), join(root, path.replace('node_modules/vit-wasm/', ''))].find(existsSync)
    if (!found) return response.writeHead(404).end()
    response.writeHead(200, { 'content-type': types[extname(path)] ?? 'application/octet-stream', 'cache-control': 'no-store' }).end(readFileSync(found))
  })
  await new Promise((done) => server.listen(0, '127.0.0.1', done))
  return { url: `http://127.0.0.1:${server.address().port}/`, close: () => (server.closeAllConnections(), server.close()) }
}

async function answers(browser, folder, ...files) {
  for (const file of files) bundle(folder, file)
  const server = await serve(folder)
  const page = await browser.newPage()
  await page.goto(server.url)
  await page.waitForSelector('input')
  await (await page.$('input')).uploadFile(photo('cat'))
  const said = await page.waitForFunction(() => /\w: \d+ %/.test(document.querySelector('p').textContent), { timeout: 20000 }).then(() => true, () => false)
  check(said, `example ${folder}: no answer`)
  await page.close()
  server.close()
}

// The same without a bundler: the page by README's import map, what has a worker by the path itself.
function unbundled(folder) {
  const copy = (file, change) => write(`plain-${folder}/${file}`, change(readFileSync(join(work, folder, file), 'utf8')))
  copy('index.html', (text) => text.replace('<script', `${MAP}\n<script`))
  copy('page.js', (text) => text)
  if (folder === 'worker') copy('worker.js', (text) => text.replace("'vit-wasm'", `'${PATH}'`))
  return `plain-${folder}`
}

async function worksOffline(browser) {
  bundle('offline', 'page.js')
  const server = await serve('offline')
  const page = await browser.newPage()
  const ready = () => page.waitForFunction(() => /^\d+ classes/.test(document.body.textContent), { timeout: 20000 }).then(() => true, () => false)
  await page.goto(server.url)
  check(await ready(), 'example offline: the first visit')
  server.close()
  await page.reload()
  check(await ready(), 'example offline: without a network')
  await page.close()
}

function runNode() {
  const run = (...args) => String(execFileSync(process.execPath, args, { cwd: join(work, 'node') })).trim().split('\n')
  const lines = run('classify.mjs', photo('cat'), photo('coffee'))
  check(lines.length === 2 && lines.every((line) => /\.jpg \S.* [01]\.\d{4}$/.test(line)), `example classify.mjs: ${lines}`)
  for (const [label, names] of [['animal', ['cat', 'horse']], ['thing', ['rocket', 'coffee']]])
    for (const name of names) {
      mkdirSync(join(work, 'node', label), { recursive: true })
      copyFileSync(photo(name), join(work, 'node', label, basename(photo(name))))
    }
  const [line] = run('teach.mjs', photo('cat'), 'animal', 'thing')
  check(/^animal (0|1|0\.\d+)$/.test(line) && existsSync(join(work, 'node/classes.probe')), `example teach.mjs: ${line}`)
}

rmSync(work, { recursive: true, force: true })
for (const [, path, text] of README.matchAll(/^<!-- example (\S+) -->\n```\w+\n([^]*?)^```/gm)) write(path, text)
for (const [path, text] of Object.entries(AROUND)) write(path, text)
write('worker/index.html', readFileSync(join(work, 'page/index.html'), 'utf8'))
mkdirSync(join(work, 'node_modules'))
symlinkSync(root, join(work, 'node_modules/vit-wasm'))
try {
  runNode()
} catch (error) {
  check(false, error.stack)
}
for (const name of ['chromium', 'firefox']) {
  const browser = await launch(name)
  try {
    await answers(browser, 'page', 'page.js')
    await answers(browser, 'react', 'page.jsx')
    await answers(browser, 'worker', 'worker.js')
    await answers(browser, unbundled('page'))
    await answers(browser, unbundled('worker'))
    await worksOffline(browser)
  } catch (error) {
    check(false, `${name}: ${error.stack}`)
  } finally {
    await browser.close()
  }
}
console.log(`${results.passed} passed, ${results.failed} failed`)
process.exit(results.failed ? 1 : 0)
