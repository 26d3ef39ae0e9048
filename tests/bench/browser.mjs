// Times the package in a browser, a fresh one for each job and flag.
//   node tests/bench/browser.mjs speed|train|cold|memory MODELS_FOLDER NAME[:FLAGS] JOB...
// NAME: chromium or firefox. JOB: a measure.mjs job as JSON. speed: calls, warm; train: steps of fine-tuning, in a worker; cold: from the start of the navigation to the
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

// Fine-tunes all of a model on as many pictures of noise as a batch has; the page counts how long it could not answer.
async function train({ model, threads, batch, steps }) {
  const { ViT } = await import('/wasm/index.js')
  const vit = await ViT.load(`/models/${model}/`, { threads })
  const pictures = Array.from({ length: batch }, (_, i) => {
    const data = Uint8ClampedArray.from({ length: 4 * 320 * 240 }, (_, at) => 128 + 120 * Math.sin(at * (0.001 + 0.0001 * i)))
    return { image: new ImageData(data, 320, 240), label: i % 4 }
  })
  let [last, longest] = [performance.now(), 0]
  const beat = () => {
    longest = Math.max(longest, performance.now() - last)
    last = performance.now()
  }
  const timer = setInterval(beat, 5)
  const begin = performance.now()
  const trainer = await vit.train({ classes: ['a', 'b', 'c', 'd'], steps, batch })
  const opened = performance.now()
  const losses = []
  for (let i = 0; i < steps; i++) losses.push((await trainer.step(pictures)).loss)
  const trained = performance.now()
  const bytes = await trainer.save()
  const controller = new AbortController()
  const cancelled = trainer.step(pictures, { signal: controller.signal }).catch(() => performance.now())
  await new Promise((done) => setTimeout(done, 500))
  const abort = performance.now()
  controller.abort()
  const stopped = (await cancelled) - abort
  trainer.dispose()
  clearInterval(timer)
  const [first, second] = [await ViT.load(bytes, { threads }), await ViT.load(bytes, { threads: 1 })]
  const [one, other] = [await first.logits(pictures[0].image), await second.logits(pictures[0].image)]
  for (const model of [vit, first, second]) model.dispose()
  return { open: opened - begin, train: trained - opened, stopped, longest, losses: [losses[0], losses.at(-1)], equal: one.every((z, i) => z === other[i]) }
}

// Of the browser's processes that run pages: [{ peak, time }], peak memory in MB, seconds of processors.
function renderers(browser) {
  const processes = {}
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const [parent, ...stat] = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) . /s, '').split(' ')
      const time = (Number(stat[9]) + Number(stat[10])) / 100
      const peak = Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024
      processes[pid] = { parent, peak, time, command: readFileSync(`/proc/${pid}/cmdline`, 'utf8') }
    } catch {} // it has ended
  }
  const own = (pid) => pid === String(browser.process().pid) || (pid in processes && own(processes[pid].parent))
  return Object.keys(processes).filter(own).map((pid) => processes[pid]).filter(({ command }) => /type=renderer|contentproc.*tab/.test(command))
}

const rendererPeak = (browser) => Math.max(0, ...renderers(browser).map(({ peak }) => peak))
const rendererTime = (browser) => renderers(browser).reduce((sum, { time }) => sum + time, 0)

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
  const empty = kind === 'cold' || kind === 'memory' ? await best({}) : null
  if (kind === 'cold') console.log(`empty page: ${empty.cold.toFixed(0)} ms`)
  if (kind === 'memory') console.log(`empty page: ${empty.peak.toFixed(0)} MB`)
  for (const job of jobs) {
    try {
      if (!empty) {
        await inBrowser(name, flags, async (browser) => {
          const page = await browser.newPage()
          await page.goto(server.url + 'tests/bench/blank.html')
          if (kind === 'train') {
            const { open, train: time, stopped, longest, losses, equal } = await page.evaluate(train, job)
            const { model, threads, batch, steps } = job
            console.log(`${model} ${threads} threads: ${steps} steps of ${batch} pictures in ${(time / 1e3).toFixed(1)} s, ${((batch * steps * 1e3) / time).toFixed(1)} images/s, ${rendererTime(browser).toFixed(1)} s of processors in all ` +
              `(ready after ${open.toFixed(0)} ms; loss ${losses.map((loss) => loss.toFixed(3)).join(' to ')}); the page was busy for ${longest.toFixed(0)} ms at most; ` +
              `cancelled after ${stopped.toFixed(0)} ms; reloaded logits ${equal ? 'are equal' : 'DIFFER'}; ${rendererPeak(browser).toFixed(0)} MB at most`)
            return
          }
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
      console.log(`${job.model} ${job.compute ?? kind}: ${error.message}`)
    }
  }
} finally {
  server.close()
}
