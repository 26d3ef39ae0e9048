// Times the package in the JavaScript engine that runs this, in a page or in Node.

import { runProgram } from './wasi.mjs'

export const MODELS = {
  ti: { architecture: 'vit_tiny_patch16_224', width: 192 },
  s: { architecture: 'vit_small_patch16_224', width: 384 },
  b: { architecture: 'vit_base_patch16_224', width: 768 },
  r50: { architecture: 'resnetv2_50x1_bit', units: [3, 4, 6, 3], flops: 8.178e9 },
  r26: { architecture: 'vit_small_r26_s32_224', width: 384, units: [2, 2, 2, 2], flops: 6.928e9 }
}

const SIDE = 224

// Multiply-adds x 2 of one picture.
function flops(model) {
  const { width: d, flops } = MODELS[model]
  if (flops) return flops
  const tokens = 197
  return 2 * (196 * 768 * d + 12 * (12 * tokens * d * d + 2 * tokens * tokens * d) + 1000 * d)
}

export function input() {
  const pixels = new Float32Array(3 * SIDE * SIDE)
  for (let i = 0; i < pixels.length; i++) pixels[i] = Math.sin(i * 0.37) + Math.sin(i * 0.011)
  return { pixels, width: SIDE, height: SIDE }
}

// GFLOP/s of a register-only loop, the best of a few; kernels: tests/bench/kernels.c as a WebAssembly.Module.
const peak = (kernels) => Number(runProgram(kernels, ['--peak']).out)

// ViT: the class of the package. job: { model, url, compute, threads, kernels, worker, batch, runs, warm }. Times of one
// call, in milliseconds, in place unless a worker is asked for: of the engine, not of messages to a worker. The peak
// is of one core.
export async function measure(ViT, job, module) {
  const { model, url, compute, threads, kernels, worker = false, batch = 1, runs, warm = 3 } = job
  const before = peak(module)
  const begin = performance.now()
  const vit = await ViT.load(url, { compute, threads, kernels, worker })
  const loaded = performance.now()
  const images = Array.from({ length: batch }, input)
  const times = []
  for (let i = 0; i < warm + runs; i++) {
    await new Promise((done) => setTimeout(done))
    const start = performance.now()
    await vit.logits(images)
    times.push(performance.now() - start)
  }
  const { info } = vit
  vit.dispose()
  const timed = times.slice(warm).sort((a, b) => a - b)
  const best = Math.max(before, peak(module))
  return {
    ...job, kernels: info.kernels, threads: info.threads, memory: info.memory, load: loaded - begin, first: times[0], min: timed[0],
    median: timed[runs >> 1], peak: best, share: (flops(model) * batch) / timed[0] / 1e6 / best / info.threads
  }
}

// Stages of a forward pass on one thread, as `vit bench` prints them: program is build/vit-relaxed.wasm, which reads the model
// from memory.
export function stages(program, files, { compute, kernels, runs }) {
  const options = ['--runs', String(runs), '--compute', compute]
  if (kernels) options.push('--kernels', kernels)
  return runProgram(program, ['bench', '--model', '/', ...options], files).out
}

export function show({ model, compute, threads, batch = 1, worker, kernels, min, median, runs, first, load, peak, share, memory }) {
  const what = `${model.padEnd(2)} ${compute.padEnd(4)} ${threads} thread${threads > 1 ? 's' : ' '}${batch > 1 ? ` batch ${batch}` : ''}${worker ? ' worker' : ''}`
  return `${what}  min ${min.toFixed(1).padStart(6)}  median ${median.toFixed(1).padStart(6)} of ${runs}  first ${first.toFixed(1).padStart(6)}  ` +
    `load ${load.toFixed(0).padStart(5)}  ${(100 * share).toFixed(1).padStart(5)} % of ${peak.toFixed(1)}  ${(memory.wasm / 1e6).toFixed(0)} MB  ${kernels}`
}
