// Runs the suite in Node: node tests/js/run.mjs [part of a test's name]. Kernels, threads, in place and in a worker: so that each
// goes with each other once, and all of them where a part is named (':' is part of every name). Relaxed SIMD too, for which Node
// 20 wants a flag, so this program starts itself once more. Ends with `N passed, N failed`.

import { execFileSync, spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { hasRelaxedSimd } from '../../wasm/module.mjs'
import { dataFolder, root, startServer } from '../browser/server.mjs'
import { makeFolders, makeProcessors, png } from './files.mjs'
import { run } from './harness.mjs'
import { defineSuite } from './suite.mjs'
import { EXAMPLES } from './suite_look.mjs'
import { ASKED, MODELS } from './suite_masked.mjs'

const RELAXED_FLAG = '--experimental-wasm-relaxed-simd'

// What the tests of a host are to find: a folder of its own, as hosts are tested side by side, and whether it has what the
// command line makes of the golden models: a GGUF, and the logits that every host must agree with.
export function prepare(host, data) {
  const built = `build/js-test/${host}`
  const made = (name) => join(root, built, name)
  mkdirSync(made(''), { recursive: true })
  const native = runProgram(data, made)
  makeFolders(join(root, 'tests/golden/forward/timm_cls'), made('timm_cls.gguf'), made(''))
  makeProcessors(join(root, 'tests/golden/forward/hf_vit'), made(''))
  return { built, native, data }
}

function runProgram(data, made) {
  const vit = join(root, 'build/vit')
  if (!existsSync(vit)) return console.log('skipped: GGUF, native logits (build/vit is not there; ./build.sh makes it)'), false
  const call = (...args) => execFileSync(vit, args, { stdio: 'pipe' })
  const golden = (name) => join(root, 'tests/golden/forward', name)
  call('convert', golden('timm_cls'), made('timm_cls.gguf'))
  for (const folder of ['whole', 'whole-of-another']) {
    mkdirSync(made(folder), { recursive: true })
    call('convert', golden('timm_cls'), made(`${folder}/model.safetensors`))
  }
  writeFileSync(made('whole-of-another/config.json'), '{"architecture": "another"}')
  for (const name of ['timm_cls', 'hf_vit'])
    call('trace', '--model', golden(name), '--input', join(golden(name), 'input.safetensors'), '--out', made(`${name}.native.safetensors`))
  lookInside(golden('timm_cls'), made, call)
  fillIn(made, call)
  if (data)
    call('trace', '--model', join(dataFolder, 'data/vit_tiny_patch16_224'), '--crop-pct', '1', '--image',
      join(dataFolder, 'golden/real/pixels_224/0007.png'), '--out', made('real.native.safetensors'))
  return true
}

// What the program finds in a model, as JSON, and a few-shot file that it makes of the pictures in EXAMPLES.
function lookInside(model, made, call) {
  const tell = (name, ...args) => writeFileSync(made(name), call(...args, '--model', model, '--json'))
  const picture = join(root, 'tests/golden/preprocess/timm_eval/synth0.png')
  for (const [name, ...args] of [['rollout'], ['rollout.0', '--layer', '0'], ['mean.1', '--method', 'mean', '--layer', '1'],
    ['head.2', '--head', '2'], ['patch.5', '--method', 'mean', '--patch', '5'], ['all', '--query', 'mean']])
    tell(`attention.${name}.json`, 'attention', ...args, picture)
  tell('filters.json', 'inspect', 'filters', '--count', '9')
  tell('positions.json', 'inspect', 'positions', '--size', '32x48')
  tell('distance.json', 'inspect', 'distance', picture, join(root, 'web/samples/cat.jpg'))
  tell('distance.renormalized.json', 'inspect', 'distance', '--renormalize', picture)
  rmSync(made('classes'), { recursive: true, force: true })
  for (const [label, files] of Object.entries(EXAMPLES)) {
    mkdirSync(made(`classes/${label}`), { recursive: true })
    for (const file of files) copyFileSync(join(root, 'tests/golden/preprocess/decode', file), made(`classes/${label}/${file}`))
  }
  tell('few-shot.json', 'fewshot', 'fit', '--out', made('few-shot.probe'), made('classes'))
  tell('predicted.json', 'fewshot', 'predict', '--probe', made('few-shot.probe'), picture)
}

// What the program predicts of hidden patches, as JSON and two pictures, and a model of one update that it makes for that.
function fillIn(made, call) {
  rmSync(made('down4x4'), { recursive: true, force: true })
  call('pretrain', '--target', 'down4x4', '--layers', '1', '--width', '24', '--heads', '2', '--mlp', '24', '--patch', '8', '--size', '32', '--steps', '1', '--batch', '4',
    '--lr', '0.01', '--out', made('down4x4'), made('classes'))
  copyFileSync(made('down4x4/model.gguf'), made('down4x4.gguf'))
  const local = (path) => (path.startsWith('built/') ? made(path.slice('built/'.length)) : join(root, 'tests', path))
  for (const [name, model, { mask, size, ...options }] of ASKED) {
    const where = MODELS[model]
    const args = typeof where === 'string' ? ['--model', local(where)] : ['--model', local(where.weights), '--config', local(where.config)]
    for (const [option, value] of Object.entries(options)) args.push(`--${option}`, String(value))
    if (size) args.push('--size', size.join('x'))
    if (mask) {
      writeFileSync(made('mask.png'), png(mask.map((one) => 255 * one), 4))
      args.push('--mask', made('mask.png'))
    }
    const picture = join(root, 'tests/golden/preprocess/timm_eval/synth0.png')
    writeFileSync(made(`masked.${name}.json`), call('masked', ...args, '--json', '--out', made(`masked.${name}.image.png`), picture))
    call('masked', ...args, '--raw', '--out', made(`masked.${name}.raw.png`), picture)
  }
}

// Of the eight ways to run, four in which each choice meets each other.
export const isPaired = ({ kernels, threads, worker }) => worker === ((kernels === 'relaxed') === (threads === 1))

export function hasData() {
  const found = existsSync(join(dataFolder, 'data/vit_tiny_patch16_224'))
  if (!found) console.log(`skipped: real weights and photographs (VIT_DATA: ${dataFolder} is not there)`)
  return found
}

async function main(pattern) {
  const has = prepare('node', hasData())
  const server = await startServer(has)
  const relaxed = hasRelaxedSimd()
  const sum = { passed: 0, failed: 0 }
  const flagged = process.execArgv.includes(RELAXED_FLAG)
  for (const kernels of flagged ? ['relaxed'] : relaxed ? ['simd128', 'relaxed'] : ['simd128'])
    for (const threads of [1, 2])
      for (const worker of [false, true]) {
        const options = { kernels, threads, worker }
        if (!pattern && !isPaired(options)) continue
        const long = threads === 2 && kernels === 'relaxed' // the slow parts
        defineSuite({ base: server.url, options, expected: { kernels, threads, isolated: true }, has, long })
        const words = `node, ${kernels}, ${threads} thread${threads > 1 ? 's' : ''}, ${worker ? 'worker' : 'in place'}`
        const start = performance.now()
        const { passed, failed } = await run((text) => console.log(`FAILED (${words}) ${text}`), pattern)
        console.log(`${words}: ${passed} passed, ${failed} failed (${((performance.now() - start) / 1000).toFixed(1)} s)`)
        sum.passed += passed
        sum.failed += failed
      }
  server.close()
  if (!relaxed) {
    const args = ['--expose-gc', RELAXED_FLAG, fileURLToPath(import.meta.url), pattern]
    const child = spawnSync(process.execPath, args, { stdio: ['inherit', 'pipe', 'inherit'], encoding: 'utf8' })
    const lines = child.stdout.trimEnd().split('\n')
    const [, passed, failed] = /^(\d+) passed, (\d+) failed$/.exec(lines.pop()) ?? [0, 0, 1]
    if (lines.length) console.log(lines.join('\n'))
    sum.passed += Number(passed)
    sum.failed += Number(failed)
  }
  console.log(`${sum.passed} passed, ${sum.failed} failed`)
  process.exit(sum.failed ? 1 : 0)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (!globalThis.gc) {
    const child = spawnSync(process.execPath, ['--expose-gc', ...process.execArgv, ...process.argv.slice(1)], { stdio: 'inherit' })
    process.exit(child.status ?? 1)
  }
  await main(process.argv[2] ?? '')
}
