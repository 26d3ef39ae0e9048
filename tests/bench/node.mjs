// Times the package in the Node that runs this: a line for each model, arithmetic and number of threads.
//   node tests/bench/node.mjs MODELS_FOLDER JOB...        JOB: a measure.mjs job as JSON
//   node tests/bench/node.mjs --program FILE.wasm ARGUMENT...  runs a WASI program instead

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { measure, show } from './measure.mjs'
import { runProgram } from './wasi.mjs'

const root = new URL('../..', import.meta.url)
const compile = async (file) => new WebAssembly.Module(await readFile(new URL(file, root)))

const [folder, ...rest] = process.argv.slice(2)
if (folder === '--program') {
  const { status, out } = runProgram(await compile(rest[0]), rest.slice(1))
  process.stdout.write(out)
  process.exit(status)
}

const { ViT } = await import('../../wasm/index.js')
const { hasRelaxedSimd } = await import('../../wasm/module.mjs')
const kernels = await compile(`build/bench_kernels-${hasRelaxedSimd() ? 'relaxed' : 'simd128'}.wasm`)
console.log(`Node ${process.version}, V8 ${process.versions.v8}`)
for (const text of rest) {
  const job = JSON.parse(text)
  try {
    console.log(show(await measure(ViT, { ...job, url: join(folder, job.model) }, kernels)))
  } catch (error) {
    console.log(`${job.model} ${job.compute}: ${error.message}`)
  }
}
