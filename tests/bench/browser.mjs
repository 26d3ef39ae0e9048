// Times the package in a browser, a fresh one for each job and flag.
//   node tests/bench/browser.mjs speed|cold|memory MODELS_FOLDER NAME[:FLAGS] JOB...
// NAME: chromium or firefox. JOB: a measure.mjs job as JSON. speed: calls, warm; cold: from the start of the navigation to the
// first answer; memory: the renderer's peak, with what the empty page takes taken off.

import { readdirSync, readFileSync } from 'node:fs'
import { launch } from '../browser/launch.mjs'
import { show } from './measure.mjs'
import { serve } from './serve.mjs'

// In pages.
async function speed(job) {
  const { ViT } = await import('/wasm/index.js')
  const { measure, stages } = await import('/tests/bench/measure.mjs')
  const kernels = await WebAssembly.compileStreaming(fetch('/build/bench_kernels-relaxed.wasm'))
  const result = await measure(ViT, { ...job, url: `/models/${job.model}/` }, kernels)
  if (job.threads > 1 || job.batch) return { result, table: '' }
  const files = {}
  for (const name of ['config.json', 'model.safetensors'])
    files[name] = new Uint8Array(await (await fetch(`/models/${job.model}/${name}`)).arrayBuffer())
  return { result, table: stages(await WebAssembly.compileStreaming(fetch('/build/vit-relaxed.wasm')), files, job) }
}

// Peak memory, in MB, of the browser's processes that run pages.
function rendererPeak(browser) {
  const processes = {}
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const parent = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) . /s, '').split(' ')[0]
      const peak = Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024
      processes[pid] = { parent, peak, command: readFileSync(`/proc/${pid}/cmdline`, 'utf8') }
    } catch {} // it has ended
  }
  const own = (pid) => pid === String(browser.process().pid) || (pid in processes && own(processes[pid].parent))
  return Math.max(0, ...Object.keys(processes).filter(own).map((pid) => processes[pid]).filter(({ command }) => /type=renderer|contentproc.*tab/.test(command)).map(({ peak }) => peak))
}

async function inBrowser(name, flags, use) {
  const browser = await launch(name, flags)
  try {
    return await use(browser)
  } finally {
    await browser.close()
  }
}

const [kind, folder, given, ...texts] = process.argv.slice(2)
const [name, ...flags] = given.split(':')
const server = await serve({ '/models/': folder })
const jobs = texts.map((text) => JSON.parse(text))

// A page that does the job as it loads: { cold, load, first, memory }.
async function visit(job) {
  return inBrowser(name, flags, async (browser) => {
    const page = await browser.newPage()
    await page.goto(`${server.url}tests/bench/cold.html?${encodeURIComponent(JSON.stringify(job))}`)
    const result = await page.waitForFunction(() => window.result, { timeout: 120000 }).then(() => page.evaluate(() => window.result))
    if (result.error) throw new Error(result.error)
    return { ...result, peak: rendererPeak(browser) }
  })
}

const TRIES = 3
async function best(job) {
  const tries = []
  for (let i = 0; i < TRIES; i++) tries.push(await visit(job))
  const least = (key) => Math.min(...tries.map((one) => one[key]))
  return { cold: least('cold'), load: least('load'), first: least('first'), peak: least('peak') }
}

try {
  console.log(`${name}${flags.map((flag) => ' ' + flag).join('')}: ${await inBrowser(name, flags, (browser) => browser.version())}`)
  const empty = kind === 'speed' ? null : await best({})
  if (kind === 'cold') console.log(`empty page: ${empty.cold.toFixed(0)} ms`)
  if (kind === 'memory') console.log(`empty page: ${empty.peak.toFixed(0)} MB`)
  for (const job of jobs) {
    try {
      if (kind === 'speed') {
        await inBrowser(name, flags, async (browser) => {
          const page = await browser.newPage()
          await page.goto(server.url + 'tests/bench/blank.html')
          const { result, table } = await page.evaluate(speed, job)
          console.log(show(result))
          if (table) console.log(table.slice(table.indexOf('stage')))
        })
        continue
      }
      const { cold, load, first, peak } = await best(job)
      const what = `${job.model.padEnd(2)} ${job.compute.padEnd(4)} ${job.threads} thread${job.threads > 1 ? 's' : ' '}`
      if (kind === 'cold') console.log(`${what}  first logits after ${cold.toFixed(0)} ms (load ${load.toFixed(0)}, first call ${first.toFixed(1)})`)
      else console.log(`${what}  ${peak.toFixed(0)} MB, ${(peak - empty.peak).toFixed(0)} over the empty page`)
    } catch (error) {
      console.log(`${job.model} ${job.compute}: ${error.message}`)
    }
  }
} finally {
  server.close()
}
