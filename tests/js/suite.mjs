// The suite: unchanged in Node, Chromium and Firefox, in each module, in place and in a worker.

import * as built from '../../wasm/index.js'
import { Engine } from '../../wasm/engine.mjs'
import { Wasm } from '../../wasm/module.mjs'
import { openSource } from '../../wasm/read.mjs'
import { describeSource } from '../../wasm/source.mjs'
import * as sources from '../../wasm/vit.mjs'
import { assert, close, describe, equal, rejects, test } from './harness.mjs'
import { defineInt8 } from './int8.mjs'
import { readSafetensors } from './safetensors.mjs'
import { defineCancel } from './suite_cancel.mjs'
import { defineFailures } from './suite_failures.mjs'
import { defineFirst } from './suite_first.mjs'
import { defineHub } from './suite_hub.mjs'
import { defineInside } from './suite_inside.mjs'
import { defineLimits } from './suite_limits.mjs'
import { defineLook } from './suite_look.mjs'
import { defineMasked } from './suite_masked.mjs'
import { defineTrain } from './suite_train.mjs'

const inNode = typeof process === 'object'

// base: of the test server, ending in '/'. options: kernels, threads, worker, for every load. expected: what info must say.
// has: { data, native }: whether the server has real weights, and what the native program made. long: whether this is the
// setup that does in full what others do in part.
export function defineSuite({ base, options, expected, has, long }) {
  const url = (path) => new URL(path, base).href
  const bytesOf = async (path) => new Uint8Array(await (await fetch(url(path))).arrayBuffer())
  const tensorsOf = async (path) => readSafetensors(await bytesOf(path))
  const pause = () => new Promise((done) => setTimeout(done, 5))
  // What ships; in place its sources, whose insides some tests look at.
  const { ViT, VitError } = options.worker ? built : sources
  const load = (source, more) => ViT.load(source, { ...options, ...more })

  // Loads, uses, disposes.
  async function using(source, more, use) {
    const vit = await load(source, more)
    try {
      return await use(vit)
    } finally {
      vit.dispose()
    }
  }

  const [TIMM, HF] = ['golden/forward/timm_cls/', 'golden/forward/hf_vit/']
  const PHOTO = 'golden/preprocess/timm_eval/synth0.png'

  // Image `index` of tensor `size`.x [B,H,W,3].
  function imageOf(inputs, size, index = 0) {
    const { shape: [, height, width], data } = inputs[`${size}.x`]
    return { pixels: data.slice(index * 3 * height * width, (index + 1) * 3 * height * width), width, height }
  }
  const rowOf = ({ shape, data }, index) => data.subarray((index * data.length) / shape[0], ((index + 1) * data.length) / shape[0])
  const planar = ({ pixels, width, height }) => ({
    pixels: Float32Array.from(pixels, (_, i) => pixels[(i % (width * height)) * 3 + Math.floor(i / (width * height))]),
    width, height, layout: 'nchw'
  })
  const some = (height, width, seed = 1) => ({ pixels: Float32Array.from({ length: 3 * height * width }, (_, i) => Math.sin(i * seed)), width, height })
  const rgba = (width, height) => ({ data: Uint8ClampedArray.from({ length: 4 * width * height }, (_, i) => (i % 4 === 3 ? 255 : (i * 7) % 256)), width, height })

  // A stream of bytes in pieces of these sizes, again and again. ended: what cancelling it told.
  function streamOf(bytes, sizes, stopAt = bytes.length) {
    let at = 0
    let turn = 0
    const stream = new ReadableStream({
      pull(controller) {
        if (at >= bytes.length) return controller.close()
        if (at >= stopAt) return new Promise(() => {})
        const piece = bytes.slice(at, at + sizes[turn++ % sizes.length])
        at += piece.length
        controller.enqueue(piece)
      },
      cancel() {
        stream.wasCancelled = true
      }
    })
    return stream
  }

  describe('golden', () => {
    for (const folder of [TIMM, HF])
      test(folder, async () => {
        const inputs = await tensorsOf(folder + 'input.safetensors')
        const wanted = await tensorsOf(folder + 'expected.safetensors')
        await using(url(folder), {}, async (vit) => {
          for (const name of Object.keys(inputs)) {
            const size = name.replace('.x', '')
            const images = [imageOf(inputs, size, 0), imageOf(inputs, size, 1)]
            for (const [i, logits] of (await vit.logits(images)).entries())
              close(logits, rowOf(wanted[`${size}.logits`], i), 4e-5, `${size} logits ${i}`)
            const features = await vit.features(images)
            if (wanted[`${size}.features`]) // Hugging Face's case has none: they are the class token
              features.forEach((row, i) => close(row, rowOf(wanted[`${size}.features`], i), 4e-5, `${size} features ${i}`))
            const tokens = rowOf(wanted[`${size}.norm`], 1)
            const width = 36
            close(await vit.features(images[1], { pool: 'cls' }), tokens.subarray(0, width), 4e-5, `${size} class token`)
            const patches = tokens.length / width - 1
            const mean = Array.from({ length: width }, (_, d) => {
              let sum = 0
              for (let t = 1; t <= patches; t++) sum += tokens[t * width + d]
              return sum / patches
            })
            close(await vit.features(images[1], { pool: 'mean' }), mean, 4e-5, `${size} mean`)
            const all = await vit.classify(images[0], { topK: 7 })
            const probabilities = rowOf(wanted[`${size}.probs`], 0)
            close(all.map(({ score }) => score), all.map(({ index }) => probabilities[index]), 4e-5, `${size} scores`)
            equal(all.map(({ score }) => score), all.map(({ score }) => score).sort((a, b) => b - a), 'best first')
          }
        })
      })

    test('pictures are preprocessed as timm and Hugging Face do, to the bit', async () => {
      for (const [folder, cases, suffix] of [[TIMM, 'timm_eval', '32.0.9.center.bicubic.u8'], [HF, 'hf_vit', '32x32.u8']]) {
        const wanted = await tensorsOf(`golden/preprocess/${cases}/expected.safetensors`)
        await using(url(folder), {}, async (vit) => {
          for (const photo of ['synth0', 'synth1']) {
            const pixels = Float32Array.from(wanted[`${photo}.${suffix}`].data, (value) => (Math.fround(value / 255) - 0.5) / 0.5)
            const exact = await vit.logits({ pixels, width: 32, height: 32 })
            equal(await vit.logits(await bytesOf(`golden/preprocess/${cases}/${photo}.png`)), exact, `${cases} ${photo}`)
          }
        })
      }
    })
  })

  if (has.native)
    describe('the native program', () => {
      for (const folder of [TIMM, HF])
        test(`${folder} agrees`, async () => {
          const inputs = await tensorsOf(folder + 'input.safetensors')
          const native = await tensorsOf(`built/${folder.split('/').at(-2)}.native.safetensors`)
          await using(url(folder), {}, async (vit) => {
            for (const size of Object.keys(inputs).map((name) => name.replace('.x', '')))
              for (const [i, logits] of (await vit.logits([imageOf(inputs, size, 0), imageOf(inputs, size, 1)])).entries())
                close(logits, rowOf(native[`${size}.logits`], i), 1e-4, `${size} logits ${i}`)
          })
        })

      if (has.data)
        test('real weights agree', async () => {
          const { x, logits } = await tensorsOf('built/real.native.safetensors')
          const [, height, width] = x.shape
          await using(url('data/vit_tiny_patch16_224/'), {}, async (vit) => close(await vit.logits({ pixels: x.data, width, height }), logits.data, 1e-4, 'logits'))
        })
    })

  describe('sources', () => {
    test('every kind of source gives the same numbers', async () => {
      const [weights, config] = [await bytesOf(TIMM + 'model.safetensors'), await bytesOf(TIMM + 'config.json')]
      const text = new TextDecoder().decode(config)
      const image = some(32, 32)
      const wanted = await using(url(TIMM), {}, (vit) => vit.logits(image))
      const padded = new Uint8Array([1, 2, 3, ...weights, 4])
      const sources = {
        'URL object of the file': new URL(TIMM + 'model.safetensors', base),
        'config URL, weights URL': { config: url(TIMM + 'config.json'), weights: url(TIMM + 'model.safetensors') },
        'config text, weights Blob': { config: text, weights: new Blob([weights]) },
        'config object, weights ArrayBuffer': { config: JSON.parse(text), weights: weights.slice().buffer },
        'config Blob, weights view': { config: new Blob([config]), weights: padded.subarray(3, -1) },
        'config bytes, weights stream': { config: [config], weights: streamOf(weights, [1, 7, 4096, 13, 60000]) }
      }
      if (inNode) sources['path'] = 'tests/golden/forward/timm_cls'
      if (inNode) sources['file URL of a folder'] = new URL('../golden/forward/timm_cls/', import.meta.url)
      for (const [name, source] of Object.entries(sources))
        equal(await using(source, {}, (vit) => vit.logits(image)), wanted, name)
      equal(weights.length > 0 && padded.length, weights.length + 4, 'the caller keeps its bytes')
    })

    test('Hugging Face needs its preprocessor_config', async () => {
      const [weights, ...configs] = ['model.safetensors', 'config.json', 'preprocessor_config.json'].map((file) => url(HF + file))
      const logitsOf = async (source) => using(source, {}, async (vit) => vit.logits(await bytesOf(PHOTO)))
      const wanted = await logitsOf(url(HF))
      equal(await logitsOf({ config: configs, weights }), wanted)
      const other = await logitsOf({ config: [configs[0], url('built/processor/processor_config.json')], weights })
      equal(await logitsOf(url('built/processor/')), other, 'processor_config.json alone')
      equal(await logitsOf(url('built/processors/')), other, 'both: processor_config.json counts')
      assert(other[0] !== wanted[0], 'the configs say the same')
      await using({ config: configs[0], weights }, {}, (vit) => assert(vit.info.warnings[0].includes('as ViTImageProcessor does by default'), vit.info.warnings))
    })

    test('several labels a picture: each score is a sigmoid', async () => {
      const [weights, config] = [await bytesOf(HF + 'model.safetensors'), JSON.parse(new TextDecoder().decode(await bytesOf(HF + 'config.json')))]
      await using({ config: { ...config, problem_type: 'multi_label_classification' }, weights }, {}, async (vit) => {
        const image = some(32, 32)
        const scores = [...(await vit.logits(image))].map((logit) => 1 / (1 + Math.exp(-logit)))
        close((await vit.classify(image, { topK: 99 })).map(({ score }) => score), scores.sort((a, b) => b - a), 1e-6, 'scores')
      })
    })

    if (has.native)
      test('files that say all: GGUF, safetensors of ours', async () => {
        const image = await bytesOf(PHOTO)
        const wanted = await using(url(TIMM), {}, async (vit) => [await vit.logits(image), vit.info.parameters, vit.info.input])
        const whole = ['whole/', 'whole/model.safetensors', `whole/model.safetensors?flaky=11&name=whole${Math.random()}&times=1`, 'whole-of-another/'].map((name) => url(`built/${name}`))
        for (const source of [url('built/timm_cls.gguf'), await bytesOf('built/timm_cls.gguf'), ...whole, await bytesOf('built/whole/model.safetensors')])
          equal(await using(source, {}, async (vit) => [await vit.logits(image), vit.info.parameters, vit.info.input]), wanted)
      })

    test('progress is exact to the byte', async () => {
      const weights = await bytesOf(TIMM + 'model.safetensors')
      const config = await bytesOf(TIMM + 'config.json')
      const sizes = [1, 7, 8, 1000, 33333, 2]
      const watch = async (source) => {
        const events = []
        await using(source, { onProgress: (progress) => events.push(progress) }, () => {})
        for (const phase of ['config', 'weights']) {
          const loaded = events.filter((event) => event.phase === phase).map((event) => event.loaded)
          equal(loaded, [...loaded].sort((a, b) => a - b), `${phase} grows`)
        }
        equal(events.filter(({ phase }) => phase === 'config').map(({ loaded, total }) => [loaded, total]), [[config.length, config.length]])
        equal(events.at(-1), { phase: 'weights', loaded: weights.length, total: weights.length }, 'the last event')
        return events.filter(({ phase }) => phase === 'weights')
      }
      const steps = []
      for (let at = 0, i = 0; at < weights.length; ) steps.push((at = Math.min(weights.length, at + sizes[i++ % sizes.length])))
      const streamed = await watch({ config, weights: streamOf(weights, sizes) })
      equal(streamed.map(({ loaded }) => loaded), [0, ...steps, weights.length], 'a stream')
      equal(streamed[1].total, undefined, 'total of a stream')
      const fetched = await watch(url(TIMM + 'model.safetensors?chunk=30011'))
      assert(fetched.every(({ total }) => total === weights.length), 'total from Content-Length')
      await watch(url(TIMM + 'model.safetensors?chunk=30011&nolength'))
      await watch({ config, weights: new Blob([weights]) })
    })

    test('a compressed answer has no total until the end', async () => {
      const events = []
      await using(url(TIMM + 'model.safetensors?gzip'), { onProgress: (progress) => events.push(progress) }, () => {})
      const weights = await bytesOf(TIMM + 'model.safetensors')
      equal(events.at(-1), { phase: 'weights', loaded: weights.length, total: weights.length })
    })
  })

  describe('the default model', () => {
    test('is what loads without a source', async () => {
      const picture = some(32, 32)
      const ask = async (vit) => [vit.info.labels.length, vit.info.knownScore, await vit.logits(picture)]
      const given = await using(ViT.models.classify, {}, ask)
      equal(await using(undefined, {}, ask), given)
      equal(given[0], 10)
      assert(given[1] > 0 && given[1] < 1, 'what it does not know it tells')
    })
  })

  describe('errors', () => {
    const image = () => some(32, 32)

    test('no source, odd sources', async () => {
      await rejects(load(42), 'argument', 'Number')
      await rejects(load(null), 'argument', 'null')
      await rejects(load({ config: {} }), 'argument')
      await rejects(load({ weights: 3 }), 'argument')
      await rejects(load({ config: 3, weights: new Uint8Array(9) }), 'argument', 'config')
      await rejects(load('http://'), 'argument')
    })

    test('what HTTP brings instead of a model names the URL', async () => {
      await rejects(load(url('nowhere/model.safetensors')), 'http', url('nowhere/model.safetensors'), '404')
      await rejects(load(url(TIMM + 'model.gguf')), 'http', '404')
      await rejects(load(url(TIMM + 'model.safetensors?status=500')), 'http', '500')
      if (inNode) await rejects(load('http://127.0.0.1:9/model.gguf'), 'http', '127.0.0.1:9')
      await rejects(load(url('page.gguf?html')), 'format', 'page.gguf', 'HTML')
      await rejects(load(url('every/path/')), 'format', 'every/path/', 'model.safetensors', 'HTML page')
      await rejects(load({ config: url(TIMM + 'config.json'), weights: url('page.safetensors?html') }), 'format', 'page.safetensors', 'HTML')
    })

    test('a broken connection and a short file say how far they came', async () => {
      await rejects(load(url(TIMM + 'model.safetensors?cut=50000')), 'truncated', 'model.safetensors', '125116')
      const [weights, config] = [await bytesOf(TIMM + 'model.safetensors'), await bytesOf(TIMM + 'config.json')]
      for (const length of [9, 100, 5000, weights.length - 1])
        await rejects(load({ config, weights: weights.slice(0, length) }), 'truncated')
      await rejects(load({ config, weights: new Uint8Array(0) }), 'truncated')
      await rejects(load({ config, weights: streamOf(weights, [1000], 50000 - 1) , }, { signal: AbortSignal.timeout(300) }), 'cancelled')
    })

    test('files of another kind', async () => {
      const [weights, config] = [await bytesOf(TIMM + 'model.safetensors'), await bytesOf(TIMM + 'config.json')]
      const text = new TextEncoder().encode('this is a text, not a model, however long it may be\n'.repeat(50))
      await rejects(load({ config, weights: text }), 'format')
      await rejects(load({ config, weights: new Blob(['version https://git-lfs.github.com/spec/v1\noid sha256:00\n'.repeat(3)]) }), 'format')
      await rejects(load({ config, weights: await bytesOf(PHOTO) }), 'format')
      await rejects(load({ config: '{"architecture": ', weights }), 'format')
      await rejects(load({ config: new TextEncoder().encode('<html>'), weights }), 'format', 'HTML')
      await rejects(load(weights), 'config')
      const other = JSON.parse(new TextDecoder().decode(config))
      other.model_args.embed_dim = 48
      await rejects(load({ config: other, weights }), 'shape')
      await rejects(load({ config, weights: new ReadableStream({ start: (c) => (c.enqueue('text'), c.close()) }) }), 'argument', 'String')
      await rejects(load({ config, weights: new ReadableStream({ start: (c) => c.error(new Error('pipe burst')) }) }), 'io', 'pipe burst')
    })

    test('options', async () => {
      const source = url(TIMM)
      for (const bad of [{ threads: 0 }, { threads: 1.5 }, { worker: 1 }, { compute: 'f16' }, { size: 0 }, { size: [32] }, { size: 'big' }, { cropPct: 0 }, { cropPct: 2 }, { decode: 'gpu' }, { kernels: 'avx2' }, { onProgress: 1 }, { cache: 1 }, { sha256: 'ab' }, { sha256: Symbol('sum') }, { size: 65536 }, { size: [32, 2 ** 32] }, { size: { length: 2, every: 1 } }, { threads: 1n }, { cropPct: 1n }, { cropPct: Symbol('half') }, { kernels: Symbol('best') }, { signal: 5 }, { signal: {} }, { constructor: 1 }, { toString: 1 }])
        await rejects(load(source, bad), 'argument', Object.keys(bad)[0])
      await rejects(ViT.load(source, 'fast'), 'argument', 'options')
      await using(source, { cache: false }, () => {})
      const { OffscreenCanvas } = globalThis
      delete globalThis.OffscreenCanvas
      try {
        await rejects(load(source, { decode: 'browser' }), 'unsupported', 'OffscreenCanvas')
      } finally {
        if (OffscreenCanvas) Object.assign(globalThis, { OffscreenCanvas })
      }
      await using(source, {}, async (vit) => {
        await rejects(vit.classify(image(), { topK: 0 }), 'argument', 'topK')
        await rejects(vit.classify(image(), { pool: 'cls' }), 'argument', 'pool')
        await rejects(vit.features(image(), { pool: 'max' }), 'argument', 'pool')
        await rejects(vit.classify(image(), { topK: 1n }), 'argument', 'topK')
        await rejects(vit.classify(image(), { constructor: 1 }), 'argument', 'constructor')
        await rejects(vit.logits(image(), { signal: 5 }), 'argument', 'signal')
        equal((await vit.classify(image(), null)).length, 5, 'null options')
      })
    })

    test('pictures', async () => {
      await using(url(TIMM), {}, async (vit) => {
        const wanted = await vit.logits(image())
        for (const bad of [undefined, null, 'photo.jpg', 3, {}, new Float32Array(3).buffer.constructor, { pixels: [1, 2, 3], width: 1, height: 1 }, { pixels: new Float32Array(5), width: 1, height: 1 }, { pixels: new Float32Array(3), width: 1, height: 1, layout: 'hwc' }])
          await rejects(vit.logits(bad), 'argument', 'image')
        await rejects(vit.logits({ data: new Uint8ClampedArray(15), width: 2, height: 2 }), 'argument', '2 x 2')
        await rejects(vit.logits([image(), image(), 'x']), 'argument', 'image 2')
        const png = await bytesOf(PHOTO)
        await rejects(vit.logits([png, png.subarray(0, 200)]), 'truncated', 'image 1')
        for (const [bytes, code] of [[new Uint8Array(0), 'truncated'], [new TextEncoder().encode('not a picture at all, really'), 'unsupported']]) {
          assert((await rejects(vit.logits(bytes), code, 'image')) instanceof VitError, 'the class that is exported')
        }
        const named = new Blob(['not a picture at all, really'])
        named.name = 'holiday.jpg'
        if (!options.worker) assert((await vit.logits(named).catch((e) => e)).message.includes('holiday.jpg'), 'the name of a file')
        await rejects(vit.logits({ pixels: new Float32Array(3), width: 1, height: 1 }), 'argument')
        equal(await vit.logits(image()), wanted, 'after all these')
      })
    })
  })

  defineFailures({ ViT, url, load, using, some, pause, options, has })
  defineCancel({ url, bytesOf, load, using, streamOf, some, pause })
  defineLook({ url, bytesOf, tensorsOf, using, some, pause, options, has, long })
  defineMasked({ url, bytesOf, tensorsOf, using, some, rgba, pause, options, has, long })
  defineTrain({ url, bytesOf, tensorsOf, load, using, some, rgba, streamOf, pause, options, long })
  defineFirst({ url, bytesOf, load, using, streamOf, some, rgba, pause, options, has })

  describe('images', () => {
    test('all inputs of one picture agree', async () => {
      await using(url(TIMM), {}, async (vit) => {
        const png = await bytesOf(PHOTO)
        const wanted = await vit.logits(png)
        equal(await vit.logits(png.buffer), wanted, 'ArrayBuffer')
        equal(await vit.logits(new Blob([png])), wanted, 'Blob')
        equal(await vit.logits(new DataView(new Uint8Array([0, ...png, 0]).buffer, 1, png.length)), wanted, 'DataView')
        const picture = rgba(40, 30)
        const plain = await vit.logits(picture)
        equal(await vit.logits({ ...picture, data: new Uint8Array(picture.data) }), plain, 'Uint8Array')
        const image = some(24, 40)
        equal(await vit.logits(planar(image)), await vit.logits(image), 'nchw')
        equal(png.length > 0, true, 'the caller keeps its bytes')
      })
    })

    if (!inNode)
      test('browser objects', async () => {
        const engine = await load(url(TIMM))
        const browser = await load(url(TIMM), { decode: 'browser' })
        const png = await bytesOf(PHOTO)
        const blob = new Blob([png], { type: 'image/png' })
        const wanted = await engine.logits(png)
        equal(await browser.logits(png), wanted, 'bytes, decoded by the browser')
        equal(await browser.logits(blob), wanted, 'Blob, decoded by the browser')
        const bitmap = await createImageBitmap(blob)
        equal(await engine.logits(bitmap), wanted, 'ImageBitmap')
        equal(await engine.logits(bitmap), wanted, 'ImageBitmap, still open')
        const canvas = document.createElement('canvas')
        Object.assign(canvas, { width: bitmap.width, height: bitmap.height })
        const context = canvas.getContext('2d')
        context.drawImage(bitmap, 0, 0)
        const now = engine.logits(canvas)
        context.clearRect(0, 0, canvas.width, canvas.height)
        equal(await now, wanted, 'canvas, as it was when the call was made')
        context.drawImage(bitmap, 0, 0)
        equal(await engine.logits(context.getImageData(0, 0, canvas.width, canvas.height)), wanted, 'ImageData')
        const red = new ImageData(new Uint8ClampedArray(4 * 64 * 64).map((_, i) => [200, 40, 40, 255][i % 4]), 64, 64, { colorSpace: 'display-p3' })
        if (red.colorSpace === 'display-p3') {
          const srgb = new OffscreenCanvas(64, 64).getContext('2d')
          srgb.putImageData(red, 0, 0)
          equal(await engine.logits(red), await engine.logits(srgb.getImageData(0, 0, 64, 64)), 'ImageData of another colour space')
        }
        const offscreen = new OffscreenCanvas(bitmap.width, bitmap.height)
        offscreen.getContext('2d').drawImage(bitmap, 0, 0)
        equal(await engine.logits(offscreen), wanted, 'OffscreenCanvas')
        const element = new Image()
        element.src = url(PHOTO)
        await element.decode()
        equal(await engine.logits(element), wanted, 'img')
        if (globalThis.VideoFrame) {
          const frame = new VideoFrame(bitmap, { timestamp: 0 })
          close(await engine.logits(frame), wanted, 0.5, 'VideoFrame')
          frame.close()
        }
        equal((await engine.logits([bitmap, png, canvas])).length, 3, 'a mixed batch')
        await rejects(browser.logits(new Blob(['no picture'])), 'image', 'browser')
        await rejects(engine.logits(new Image()), 'image')
        engine.dispose()
        browser.dispose()
      })

    test('a batch equals its images one by one, to the bit', async () => {
      await using(url(TIMM), {}, async (vit) => {
        const png = await bytesOf(PHOTO)
        const images = [...Array.from({ length: 11 }, (_, i) => some(32, 32, i + 1)), some(48, 24), some(48, 24, 2), png, rgba(20, 50), some(16, 64)]
        const batch = await vit.logits(images)
        for (const [i, image] of images.entries()) equal(batch[i], await vit.logits(image), `image ${i}`)
        equal(await vit.classify([]), [], 'an empty batch')
        equal((await vit.classify([png])).length, 1, 'a batch of one')
      })
    })

    test('size and cropPct', async () => {
      const picture = rgba(100, 80)
      const shapes = await using(url(TIMM), { size: [24, 40], cropPct: 1 }, async (vit) => [vit.info.input.height, vit.info.input.width, vit.info.input.cropPct, (await vit.logits(picture)).length])
      equal(shapes, [24, 40, 1, 7])
      equal(await using(url(TIMM), { size: 48 }, (vit) => [vit.info.input.height, vit.info.input.width]), [48, 48])
      const some = await using(url(TIMM), {}, (vit) => vit.logits(picture))
      const other = await using(url(TIMM), { cropPct: 0.5 }, (vit) => vit.logits(picture))
      assert(some.some((value, i) => value !== other[i]), 'cropPct changes what is seen')
    })

    test('a picture of 12 megapixels', async () => {
      await using(url(TIMM), {}, async (vit) => {
        const before = vit.info.memory.wasm
        const [best] = await vit.classify({ data: new Uint8ClampedArray(4 * 4000 * 3000).fill(200), width: 4000, height: 3000 })
        assert(best.score > 0, 'an answer')
        assert(vit.info.memory.wasm > before, 'memory grew')
        const gray = await vit.logits({ data: new Uint8ClampedArray(4 * 40 * 30).fill(200), width: 40, height: 30 })
        close(await vit.logits({ data: new Uint8ClampedArray(4 * 400 * 300).fill(200), width: 400, height: 300 }), gray, 0, 'one colour at two sizes')
      })
    })
  })

  describe('queue', () => {
    test('calls made at once are answered in order', async () => {
      await using(url(TIMM), {}, async (vit) => {
        const images = [some(64, 64), await bytesOf(PHOTO), some(16, 16), rgba(30, 30)]
        if (!inNode) images.push(await createImageBitmap(new Blob([images[1]])))
        const wanted = []
        for (const image of images) wanted.push(await vit.logits(image))
        const order = []
        const answers = await Promise.all(images.map((image, i) => vit.logits(image).then((logits) => (order.push(i), logits))))
        equal(order, images.map((_, i) => i))
        answers.forEach((logits, i) => equal(logits, wanted[i], `image ${i}`))
      })
    })

    test('two models beside each other', async () => {
      const [a, b] = await Promise.all([load(url(TIMM)), load(url(HF))])
      const image = some(32, 32)
      const [x, y] = [await a.logits(image), await b.logits(image)]
      const both = await Promise.all([a.logits(image), b.logits(image), a.logits(image), b.logits(image)])
      equal(both.map((logits) => [...logits]), [x, y, x, y].map((logits) => [...logits]))
      a.dispose()
      equal(await b.logits(image), y)
      b.dispose()
    })
  })

  describe('info', () => {
    test('says what runs', async () => {
      await using(url(TIMM), {}, async (vit) => {
        const { info } = vit
        equal(info.architecture, 'vit_tiny_patch16_224')
        const { parameters } = info
        equal(parameters, (await tensorsOf(TIMM + 'model.safetensors').then((all) => Object.values(all).reduce((sum, { data }) => sum + data.length, 0))))
        equal(info.labels, null)
        equal(info.compute, 'f32')
        equal([info.input.height, info.input.width, info.input.patch, info.input.mean, info.input.filter, info.input.crop], [32, 32, [8, 8], [0.5, 0.5, 0.5], 'bicubic', 'center'])
        close([info.input.cropPct], [0.9], 1e-6, 'cropPct')
        assert(info.kernels.startsWith(expected.kernels), `kernels ${info.kernels}, expected ${expected.kernels}`)
        equal(info.threads, expected.threads, 'threads')
        equal(info.isolated, expected.isolated, 'isolated')
        assert(info.memory.weights >= 4 * parameters && info.memory.activations > 0, 'memory')
        assert(info.memory.wasm >= info.memory.weights + info.memory.activations, 'memory in all')
        equal(info.last, { decode: 0, resize: 0, forward: 0, head: 0 })
        await vit.classify(rgba(2000, 1500))
        const { decode, resize, forward, head } = vit.info.last // Firefox's clock may count in whole milliseconds
        assert([decode, resize, forward, head].every((ms) => ms >= 0) && decode + resize > 0, JSON.stringify(vit.info.last))
        equal(vit.info.warnings, [])
      })
      await using(url(HF), {}, (vit) => equal(vit.info.labels, ['LABEL_0', 'LABEL_1', 'LABEL_2', 'LABEL_3', 'LABEL_4', 'LABEL_5', 'LABEL_6']))
    })

    test('topK', async () => {
      await using(url(HF), {}, async (vit) => {
        const image = some(32, 32)
        const logits = await vit.logits(image)
        const order = [...logits.keys()].sort((a, b) => logits[b] - logits[a])
        for (const topK of [1, 3, 7, 1000]) {
          const top = await vit.classify(image, { topK })
          equal(top.map(({ index }) => index), order.slice(0, topK))
          equal(top.map(({ label }) => label), order.slice(0, topK).map((i) => `LABEL_${i}`))
        }
        const sum = (await vit.classify(image, { topK: 7 })).reduce((sum, { score }) => sum + score, 0)
        close([sum], [1], 1e-6, 'scores')
        equal((await vit.classify(image)).length, 5)
      })
    })
  })

  describe('memory', () => {
    test('after dispose calls reject, and so do those that run', async () => {
      const vit = await load(url(TIMM))
      const image = some(640, 640)
      const calls = [vit.logits(image), vit.classify(image), vit.features(image)]
      await pause()
      vit.dispose()
      await Promise.all(calls.map((call) => rejects(call, 'disposed')))
      await rejects(vit.logits(image), 'disposed')
      await rejects(vit.classify(image), 'disposed')
      vit.dispose()
      equal(vit.info.architecture, 'vit_tiny_patch16_224', 'info stays')
      if (Symbol.dispose) (await load(url(TIMM)))[Symbol.dispose]()
    })

    test('everything allocated is released, whatever happened', async () => {
      const [weights, config] = [await bytesOf(TIMM + 'model.safetensors'), await bytesOf(TIMM + 'config.json')]
      const source = await describeSource({ config, weights })
      for (let i = 0; i < 3; i++) {
        const engine = await Engine.open(openSource(source), { ...options, decode: 'engine' }, {})
        const images = [some(32, 32), await bytesOf(PHOTO), rgba(50, 20)]
        const names = ['a', 'b', 'c']
        await engine.call('classify', images, { topK: 3, names })
        await engine.call('features', images, { pool: 'mean', names })
        await engine.call('logits', [new Uint8Array(99)], { names }).catch(() => {})
        await engine.call('logits', [images[1].subarray(0, 150)], { names }).catch(() => {})
        equal(await engine.close(), 0, 'allocations after close')
      }
      for (const length of [0, 5, 9, 500, 5000, 100000, weights.length - 1, weights.length]) {
        const wasm = await Wasm.open(options)
        wasm.begin('weights')
        wasm.config('config', config)
        try {
          for (let at = 0; at < length; at += 1009) wasm.push(weights.subarray(at, Math.min(length, at + 1009)))
          if (length % 2) wasm.finish()
        } catch (error) {
          equal(error.name, 'VitError')
        }
        equal(wasm.close(), 0, `allocations of a load that stops at ${length}`)
      }
    })

    test('load, use, dispose and aborted loads, again and again', async () => {
      const source = { config: await bytesOf(TIMM + 'config.json'), weights: await bytesOf(TIMM + 'model.safetensors') }
      const image = some(32, 32)
      const wanted = await using(source, {}, (vit) => vit.logits(image))
      const times = long ? 50 : 10 // starting a worker is slow
      const living = await countLiving()
      try {
        let before
        for (let i = 0; i < times; i++) {
          await using(source, {}, async (vit) => equal(await vit.logits(image), wanted))
          const controller = new AbortController()
          await rejects(load(source, { signal: controller.signal, onProgress: () => controller.abort() }), 'cancelled')
          if (i === 4) before = living.resident()
        }
        for (let i = 0; i < 4000 && living.count(); i++) await pause() // workers end a little later
        equal(living.count(), 0, 'engines and workers that still live')
        equal(living.made(), true, 'they were counted')
        const grown = (living.resident() - before) / 2 ** 20
        assert(grown < 100, `memory grew by ${grown.toFixed()} MiB in ${times - 5} repetitions`)
      } finally {
        living.end()
      }
    })

    // Counts engines here that are not closed, or that kept blocks when they were, and workers that have not ended.
    async function countLiving() {
      const { open } = Wasm
      const { close } = Wasm.prototype
      let [made, engines, workers] = [0, 0, 0]
      Wasm.open = (options) => (made++, engines++, open.call(Wasm, options))
      Wasm.prototype.close = function () {
        if (close.call(this) === 0) engines--
      }
      const onWorker = (worker) => (made++, workers++, worker.once('exit', () => workers--))
      const { Worker } = globalThis
      if (inNode) process.on('worker', onWorker)
      else
        globalThis.Worker = class extends Worker {
          #ended = false
          constructor(...args) {
            super(...args)
            made++
            workers++
          }
          terminate() {
            super.terminate()
            if (!this.#ended) workers--
            this.#ended = true
          }
        }
      return {
        count: () => engines + workers,
        made: () => made > 0,
        resident: () => (inNode ? (globalThis.gc?.(), process.memoryUsage().rss) : 0),
        end() {
          Wasm.open = open
          Wasm.prototype.close = close
          if (inNode) process.off('worker', onWorker)
          else globalThis.Worker = Worker
        }
      }
    }
  })

  if (has.data && long)
    describe('real ViT-Ti/16', () => {
      const MODEL = 'data/vit_tiny_patch16_224/'

      test('from exact pixels', async () => {
        for (const [size, tolerance] of [[224, 1e-4], [[384, 384], 2e-4], [[160, 320], 2e-4]]) {
          const folder = `data-golden/real/pixels_${[size].flat().join('x')}/`
          const wanted = await tensorsOf(folder + 'expected.safetensors')
          await using(url(MODEL), { size, cropPct: 1 }, async (vit) => {
            for (const name of ['0007', '0207', '0407'])
              close(await vit.logits(await bytesOf(`${folder}${name}.png`)), wanted[`${name}.logits`].data, tolerance, `${size} ${name}`)
          })
        }
      })

      test('photographs', async () => {
        const wanted = await tensorsOf('data-golden/real/logits_50/expected.safetensors')
        const images = await (await fetch(url('data-golden/real/logits_50/files.json'))).json()
        const labels = await (await fetch(url('wasm/imagenet_labels.json'))).json()
        await using(url(MODEL), {}, async (vit) => {
          equal(vit.info.labels, labels, 'labels')
          equal([vit.info.parameters, vit.info.layers, vit.info.heads], [5717416, 12, 3])
          for (let i = 0; i < images.length; i += inNode && !options.worker ? 1 : 10) {
            const photo = await bytesOf(`data/imagenet_50/${images[i]}`)
            const logits = await vit.logits(photo)
            const theirs = wanted.logits.data.subarray(1000 * i, 1000 * (i + 1))
            close(logits, theirs, 0.2, images[i])
            const [best] = await vit.classify(photo, { topK: 1 })
            if (wanted.margin.data[i] > 0.2) equal(best.index, theirs.indexOf(Math.max(...theirs)), images[i])
            equal(best.label, labels[best.index])
          }
          assert(vit.info.last.forward > 0, 'times')
        })
      })
    })
  defineLimits({ url, bytesOf, load, using, some, options, long })
  defineHub({ ViT, url, bytesOf, load, using, streamOf, some, options, has, long })
  if (!options.worker) defineInside({ url, load, using, some, options })
  defineInt8({ using, source: url(TIMM), image: rgba(300, 200), expected })
}
