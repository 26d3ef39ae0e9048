// Whether every kernel still reaches its share of the peak: GEMM over register-only loop, measured alongside, in each host,
// against the table of this machine in RESULTS.md. Compilers break it silently.
//   node tests/bench/guard.mjs [--record] HOST...     HOST: native, node, wasmtime, chromium,
// revectorize
// The best of three tries counts. --record writes the table instead. wasmtime runs under $PYTHON.

import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { launch } from '../browser/launch.mjs'
import { serve } from './serve.mjs'

const TRIES = 3
const TOLERANCE = 0.05
const RESULTS = new URL('RESULTS.md', import.meta.url)
const BLOCK = /(```csv guard\n)([^]*?)(```)/
const ARGUMENTS = ['--json', '--seconds', '0.1', '--model', 'S']
const STEADY = /^(qkv|proj|fc1\+gelu|fc2|score|mix|nn fc1|tn fc1)$/ // products; passes over memory are not the compiler's

const record = process.argv.includes('--record')
const hosts = process.argv.slice(2).filter((name) => name !== '--record')
process.chdir(fileURLToPath(new URL('../..', import.meta.url)))

// This machine: processors with the same numbers behave the same.
function machine() {
  const cpu = readFileSync('/proc/cpuinfo', 'utf8')
  const field = (name) => new RegExp(`^${name}\\s*: (.*)$`, 'm').exec(cpu)?.[1] ?? '?'
  return `${field('vendor_id')}-${field('cpu family')}-${field('model')}`
}

const MODULES = ['relaxed', 'simd128'].map((name) => `build/bench_kernels-${name}.wasm`)
const output = (program, ...args) => execFileSync(program, [...args, ...ARGUMENTS], { encoding: 'utf8' })
const validates = (file) => WebAssembly.validate(readFileSync(file))

async function runInPage(file, args) {
  const { runProgram } = await import('/tests/bench/wasi.mjs')
  return runProgram(await WebAssembly.compileStreaming(fetch('/' + file)), args).out
}

async function inChromium(...flags) {
  const server = await serve({})
  const browser = await launch('chromium', flags)
  try {
    const out = []
    for (const file of MODULES) {
      const page = await browser.newPage()
      await page.goto(server.url + 'tests/bench/blank.html')
      out.push(await page.evaluate(runInPage, file, ARGUMENTS))
      await page.close()
    }
    return out.join('')
  } finally {
    await browser.close()
    server.close()
  }
}

const RUN = {
  native: () => output('build/bench_kernels'),
  node: () => MODULES.filter(validates).map((file) => output(process.execPath, 'tests/bench/node.mjs', '--program', file)).join(''),
  wasmtime: () => output(process.env.PYTHON ?? 'python3', 'tests/wasi_run.py', 'build/bench_kernels.wasm'),
  chromium: () => inChromium(),
  revectorize: () => inChromium('--js-flags=--wasm-revectorize') // Chromium that fuses pairs to 256 bits
}

// { 'host,kernels,operation': best share of the peak }
async function shares() {
  const best = {}
  for (const host of hosts)
    for (let i = 0; i < TRIES; i++)
      for (const line of (await RUN[host]()).trim().split('\n')) {
        const { kernels, operation, gflops, peak } = JSON.parse(line)
        if (!STEADY.test(operation)) continue
        const key = [host, kernels.replace(',', ' '), operation].join(',')
        best[key] = Math.max(best[key] ?? 0, gflops / peak)
      }
  return best
}

const text = readFileSync(RESULTS, 'utf8')
const here = machine()
const rows = BLOCK.exec(text)[2].trim().split('\n').slice(1).filter(Boolean)
const mine = rows.filter((row) => row.startsWith(here + ','))
const known = Object.fromEntries(mine.map((row) => row.slice(here.length + 1)).map((row) => [row.slice(0, row.lastIndexOf(',')), Number(row.slice(row.lastIndexOf(',') + 1))]))
const now = await shares()

if (record) {
  const kept = rows.filter((row) => !row.startsWith(here + ',') || !hosts.includes(row.split(',')[1]))
  const fresh = Object.entries(now).map(([key, share]) => `${here},${key},${share.toFixed(3)}`)
  writeFileSync(RESULTS, text.replace(BLOCK, (_, begin, old, end) => `${begin}${['machine,host,kernels,operation,share', ...kept, ...fresh].join('\n')}\n${end}`))
  console.log(`RESULTS.md: ${fresh.length} shares of ${here}`)
} else {
  let fell = 0
  const complain = (words) => {
    console.log(words)
    fell++
  }
  for (const [key, share] of Object.entries(now)) {
    const expected = known[key]
    if (expected === undefined) console.log(`${key}: ${share.toFixed(3)}, not recorded for ${here}`)
    else if (share < expected * (1 - TOLERANCE)) complain(`${key}: fell from ${expected} to ${share.toFixed(3)} of the peak`)
  }
  for (const key of Object.keys(known)) if (hosts.includes(key.split(',')[0]) && !(key in now)) complain(`${key}: gone`)
  console.log(`${Object.keys(now).length} kernels, ${mine.length} recorded for ${here}, ${fell} fell`)
  process.exitCode = fell || !mine.length ? 1 : 0
}
