// Installs the packed package into a fresh project for each host and classifies a picture there; logits must be Node's.
//   node tests/hosts/run.mjs TARBALL MODULES [--write] [part of a host's name]...
// MODULES: a node_modules folder with the tools; projects are made beside it. --write: the table in README.md says what was found;
// else it must say so already.

import { execFileSync, spawn } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { dirname, extname, join, normalize, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { launch } from '../browser/launch.mjs'
import { CURRENT, NOT_RUN, PROJECTS } from './projects.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const [tarball, modules, ...rest] = process.argv.slice(2)
const write = rest.includes('--write')
const patterns = rest.filter((one) => one !== '--write')
const photo = join(root, 'web/samples/cat.jpg')
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript', '.json': 'application/json', '.wasm': 'application/wasm', '.jpg': 'image/jpeg' }
const HEADERS = {
  'content-security-policy': "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'", 'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp', 'cache-control': 'no-store'
}

const folderOf = (name) => join(dirname(resolve(modules)), 'projects', name.replace(/\W+/g, '-').toLowerCase())
const command = (line, cwd) => execFileSync('bash', ['-c', line], { cwd, stdio: 'pipe', timeout: 300000, env: { ...process.env, BIN: join(resolve(modules), '.bin') } })
const versionOf = (tool) => JSON.parse(readFileSync(join(modules, tool, 'package.json'))).version

function make(name, { files }) {
  const folder = folderOf(name)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'host', private: true, type: 'module' }))
  execFileSync('npm', ['install', '--silent', '--offline', '--no-fund', '--no-audit', resolve(tarball)], { cwd: folder, stdio: 'pipe' })
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, file)), { recursive: true })
    writeFileSync(join(folder, file), text)
  }
  mkdirSync(join(folder, 'public'), { recursive: true })
  for (const place of ['cat.jpg', 'public/cat.jpg']) copyFileSync(photo, join(folder, place))
  return folder
}

async function serve(folder) {
  const server = createServer(({ url }, response) => {
    const path = normalize(decodeURIComponent(url.split('?')[0])).replace(/\/$/, '/index.html')
    const file = path === '/cat.jpg' ? photo : join(folder, path)
    if (!existsSync(file)) return response.writeHead(404).end()
    response.writeHead(200, { ...HEADERS, 'content-type': TYPES[extname(file)] ?? 'application/octet-stream' }).end(readFileSync(file))
  })
  await new Promise((done) => server.listen(0, '127.0.0.1', done))
  return { url: `http://127.0.0.1:${server.address().port}/`, close: () => (server.closeAllConnections(), server.close()) }
}

async function start(folder, [program, ...args]) {
  const port = 20000 + (process.pid % 20000)
  const child = spawn(join(resolve(modules), '.bin', program), [...args, port], { cwd: folder, stdio: 'ignore', detached: true })
  const url = `http://127.0.0.1:${port}/`
  for (let i = 0; i < 100 && !(await fetch(url).catch(() => null)); i++) await new Promise((done) => setTimeout(done, 200))
  return { url, close: () => process.kill(-child.pid) }
}

async function visit(browser, url) {
  const page = await browser.newPage()
  const said = []
  page.on('console', (message) => message.type() === 'error' && said.push(message.text()))
  page.on('pageerror', (error) => said.push(error.message))
  try {
    await page.goto(url)
    await page.waitForFunction(() => globalThis.answer, { timeout: 20000 })
    const found = await page.evaluate(() => Promise.race([globalThis.answer, new Promise((done) => setTimeout(done, 60000, { error: 'no answer' }))]))
    return found.error ? { error: `${found.error} ${said.join(' ')}` } : found
  } catch (error) {
    return { error: `${error.message} ${said.join(' ')}` }
  } finally {
    await page.close()
  }
}

// name -> answers of one host: { program: { simd128, best } or { error } }
async function runHost(name, project, browsers) {
  const folder = make(name, project)
  if (project.run) {
    const [program, ...args] = project.run.map((part) => part.replace('$MODULES', resolve(modules)))
    const out = execFileSync(program === 'node' ? process.execPath : program, args, { cwd: folder, timeout: 120000, stdio: ['ignore', 'pipe', 'pipe'] })
    return { here: JSON.parse(String(out).trim().split('\n').at(-1)) }
  }
  if (project.build) command(project.build, folder)
  const found = {}
  if (project.extension) {
    const browser = await launch('chromium', [], { enableExtensions: [folder], pipe: true })
    const target = await browser.waitForTarget((one) => one.url().startsWith('chrome-extension://'), { timeout: 5000 }).catch(() => null)
    const id = target ? new URL(target.url()).host : await browser.installExtension(folder)
    found.chromium = await visit(browser, `chrome-extension://${id}/index.html`)
    await browser.close()
    return found
  }
  const server = project.start ? await start(folder, project.start) : await serve(join(folder, project.serve))
  try {
    if (project.start && !/data-server="function"/.test(await (await fetch(server.url)).text())) throw new Error('the server did not render it')
    for (const one of project.browsers ?? ['chromium', 'firefox']) found[one] = await visit(await browsers(one), server.url)
  } finally {
    server.close()
  }
  return found
}

// What is wrong with answers, or undefined. The same kernels give the same bits; others differ in the last digits.
function problemOf(answer, expected) {
  if (answer.error) return answer.error
  for (const [kernels, { label, logits }] of Object.entries(answer)) {
    const wanted = expected[kernels]
    const difference = Math.max(...logits.map((one, i) => Math.abs(one - wanted.logits[i])))
    if (label !== wanted.label || !(difference <= (kernels === 'simd128' ? 0 : 1e-3))) return `${kernels}: ${label}, logits differ by ${difference}`
  }
}

const opened = {}
const browsers = async (name) => (opened[name] ??= await launch(name))
const wanted = Object.entries(PROJECTS).filter(([name]) => !patterns.length || name === 'Node 20' || patterns.some((part) => name.includes(part)))
wanted.sort(([a], [b]) => (b === 'Node 20') - (a === 'Node 20')) // whose logits the others must have
const rows = {}
let expected
let failed = 0
for (const [name, project] of wanted) {
  const title = name === 'Node 20' ? `Node ${process.versions.node.split('.')[0]}` : name === CURRENT ? `Node ${versionOf('node').split('.')[0]}` : project.tool ? `${name} ${versionOf(project.tool)}` : name
  let answers
  const began = performance.now()
  try {
    answers = await runHost(name, project, browsers)
  } catch (error) {
    answers = { here: { error: `${error.message} ${error.stdout ?? ''} ${error.stderr ?? ''}`.slice(-3000) } }
  }
  expected ??= answers.here
  const cells = []
  for (const [where, answer] of Object.entries(answers)) {
    const problem = problemOf(answer, expected)
    failed += problem ? 1 : 0
    const how = problem ? 'no' : `${answer.best.kernels.split(':')[0]}, ${answer.best.threads === 1 ? 'one thread' : 'threads'}`
    cells.push(where === 'here' ? how : `${where[0].toUpperCase()}${where.slice(1)}: ${how}`)
    console.log(`${problem ? 'FAILED' : 'ok    '} ${title}${where === 'here' ? '' : `, ${where}`}: ${problem ?? how} (${Math.round((performance.now() - began) / 1000)} s)`)
  }
  if (project.without) cells.push(project.without)
  rows[name] = `| ${title} | ${cells.join('; ')} |`
}
for (const browser of Object.values(opened)) await browser.close()

if (!patterns.length) {
  const others = Object.entries(NOT_RUN).map(([name, why]) => `| ${name} | ${why} |`)
  const table = ['| host | what it ran with |', '|---|---|', ...Object.keys(PROJECTS).map((name) => rows[name]), ...others].join('\n')
  const readme = readFileSync(join(root, 'README.md'), 'utf8')
  const block = /(<!-- hosts: .*? -->\n)[^]*?(\n<!-- end -->)/
  const now = readme.replace(block, (all, begin, end) => begin + table + end)
  if (write) writeFileSync(join(root, 'README.md'), now)
  else if (now !== readme) {
    failed++
    console.log(`FAILED the table in README.md is another; tests/hosts/run.mjs --write writes it:\n${table}`)
  }
}
const all = wanted.length + (patterns.length ? 0 : 1)
console.log(`${Math.max(0, all - failed)} passed, ${failed} failed`)
process.exit(failed ? 1 : 0)
