// The part of the suite about masked prediction.

import { Wasm } from '../../wasm/module.mjs'
import { assert, close, describe, equal, rejects, test } from './harness.mjs'

const PHOTO = 'golden/preprocess/timm_eval/synth0.png' // 97 x 61
const MPP = (kind) => ({ weights: `golden/mpp/loss_${kind}/model.safetensors`, config: `golden/mpp/loss_${kind}/case.json` })

// What the native program is asked; run.mjs asks it.
export const MODELS = {
  mean3bit: MPP('mean3bit'), regression: MPP('regression'), down4x4: 'built/down4x4.gguf',
  mae: 'golden/mae/hf_mae/', norm_pix: 'golden/mae/hf_mae_norm_pix/', simmim: 'golden/mae/hf_simmim/'
}
export const ASKED = [
  ...Object.keys(MODELS).map((model) => [model, model, {}]), // name, model, options
  ['seed', 'mean3bit', { ratio: 0.75, seed: 12345 }],
  ['size', 'mean3bit', { size: [64, 96], seed: 3 }],
  ['mask', 'down4x4', { mask: Array.from({ length: 16 }, (_, i) => (i % 5 < 2 ? 1 : 0)) }]
]

const inNode = typeof process === 'object'
const isHidden = (mask) => Array.from(mask).flatMap((hidden, i) => (hidden ? [i] : []))

// What it uses of the suite's own helpers.
export function defineMasked({ url, bytesOf, tensorsOf, using, some, rgba, pause, options, has, long }) {
  const source = (model) => {
    const where = MODELS[model]
    return typeof where === 'string' ? url(where) : { weights: url(where.weights), config: url(where.config) }
  }
  const native = async (name) => JSON.parse(new TextDecoder().decode(await bytesOf(`built/masked.${name}.json`)))
  // The pixels of a picture, as the engine decodes it.
  const pixelsOf = async (vit, png) => (await vit.predictMasked(png, { ratio: 0 })).image.data

  describe('masked prediction', () => {
    test('as the native program has it', async () => {
      if (!has.native) return
      const png = await bytesOf(PHOTO)
      for (const [name, model, asked] of ASKED.filter((_, i) => long || i % 3 === 0))
        await using(source(model), {}, async (vit) => {
          const answer = await vit.predictMasked(png, { ...asked, raw: true })
          const wanted = await native(name)
          equal(answer.grid, wanted.grid, name)
          equal(answer.mask, wanted.mask, `${name}: mask`)
          close(answer.colors, wanted.colors.flat(), 1, `${name}: colours`)
          const probabilities = wanted.probabilities.map((value) => value ?? NaN)
          equal(answer.probabilities.map(Number.isNaN), probabilities.map((value) => Number(Number.isNaN(value))), `${name}: where pixels are predicted`)
          close(answer.probabilities.map((value) => value || 0), probabilities.map((value) => value || 0), 1e-5, `${name}: probabilities`)
          equal([answer.image.width, answer.image.height], [97, 61], name)
          for (const kind of ['image', 'raw'])
            close(answer[kind].data, await pixelsOf(vit, await bytesOf(`built/masked.${name}.${kind}.png`)), 1, `${name}: ${kind}`)
        })
    })

    test('the golden predictions of ViT-MAE and SimMIM', async () => {
      for (const [model, tensor] of [['mae', 'image_from_prediction'], ['simmim', 'reconstruction']]) {
        const folder = model === 'mae' ? 'golden/mae/hf_mae/' : 'golden/mae/hf_simmim/'
        const [inputs, expected] = [await tensorsOf(folder + 'input.safetensors'), await tensorsOf(folder + 'expected.safetensors')]
        const masks = (expected.mask ?? inputs.mask).data
        await using(source(model), {}, async (vit) => {
          const { mean, std } = vit.info.input
          const level = (value, channel) => Math.min(Math.max(255 * (value * std[channel] + mean[channel]), 0), 255)
          for (const image of [0, 1]) {
            const pixels = inputs['x'].data.slice(image * 3072, (image + 1) * 3072)
            const wanted = expected[tensor].data.slice(image * 3072, (image + 1) * 3072)
            const mask = masks.slice(image * 16, (image + 1) * 16)
            const { raw, colors } = await vit.predictMasked({ pixels, width: 32, height: 32 }, { mask, raw: true })
            const means = new Float64Array(48)
            for (let i = 0; i < 3072; i++) {
              const [x, y, channel] = [Math.floor(i / 3) % 32, Math.floor(i / 96), i % 3]
              const patch = 4 * (y >> 3) + (x >> 3)
              const value = level(mask[patch] ? wanted[i] : pixels[i], channel)
              means[3 * patch + channel] += value / 64
              assert(Math.abs(raw.data[4 * (32 * y + x) + channel] - value) < 0.51, `${model}: pixel ${x}, ${y}: ${raw.data[4 * (32 * y + x) + channel]}, expected ${value}`)
            }
            close(colors, means, 0.51, `${model}: means of patches`)
          }
        })
      }
    })

    test('what is visible stays', async () => {
      const png = await bytesOf(PHOTO)
      await using(source('mean3bit'), {}, async (vit) => {
        equal(vit.info.decoder, 'mean3bit')
        const before = await vit.predictMasked(png, { ratio: 0 })
        equal([before.grid, before.mask, before.probabilities], [[4, 5], new Uint8Array(20), new Float32Array(20).fill(1)])
        equal('raw' in before, false)
        const answer = await vit.predictMasked(png)
        const hidden = isHidden(answer.mask)
        equal(hidden.length, 10, 'half of them')
        for (let i = 0; i < 20; i++) {
          const same = (name, count = 1) => answer[name].slice(i * count, (i + 1) * count).join() === before[name].slice(i * count, (i + 1) * count).join()
          equal(same('colors', 3) && same('labels') && same('probabilities'), !answer.mask[i], `patch ${i}`)
        }
        const bins = (colors) => Array.from({ length: 20 }, (_, i) => (colors[3 * i] >> 5) * 64 + (colors[3 * i + 1] >> 5) * 8 + (colors[3 * i + 2] >> 5))
        close(before.labels, bins(before.colors), 0, 'labels')
        let changed = 0
        for (let y = 0; y < 61; y++)
          for (let x = 0; x < 97; x++) {
            const [at, patch] = [4 * (97 * y + x), 5 * Math.floor(((y + 0.5) * 4) / 61) + Math.floor(((x + 0.5) * 5) / 97)]
            const same = [0, 1, 2, 3].every((i) => answer.image.data[at + i] === before.image.data[at + i])
            assert(same || answer.mask[patch], `pixel ${x}, ${y}`)
            changed += !same
          }
        assert(changed > 2000, `${changed} pixels are filled in`)
        equal(typeof ImageData === 'function' && !(answer.image instanceof ImageData), false, 'ImageData')
      })
    })

    test('pictures of all kinds, sizes, masks', async () => {
      const png = await bytesOf(PHOTO)
      await using(source('regression'), {}, async (vit) => {
        const mask = Array.from({ length: 20 }, (_, i) => i % 3 === 0)
        const one = await vit.predictMasked(png, { mask })
        equal(await vit.predictMasked(png, { mask: Uint8Array.from(mask) }), one, 'a mask of bytes')
        equal(await vit.predictMasked([png, png], { mask }), [one, one], 'a batch')
        equal(await vit.predictMasked([]), [], 'no images')
        equal(await vit.predictMasked(one.image, { ratio: 0, size: 96 }).then(({ grid, image }) => [grid, image.data]), [[12, 12], one.image.data], 'an answer is a picture')
        equal((await vit.predictMasked(rgba(3, 200), { seed: 1 })).image.height, 200, 'a narrow picture')
        const input = await vit.predictMasked(some(40, 24), { ratio: 1 })
        equal([input.grid, input.image.width, input.image.height, isHidden(input.mask).length], [[5, 3], 24, 40, 15], 'a normalised one has its own size')
        equal((await vit.predictMasked(some(44, 30), { size: 64 })).grid, [5, 3], 'and drops the remainder')
        const grid = async (size) => (await vit.predictMasked(png, { size })).grid
        equal([await grid(256), await grid([64, 48])], [[32, 32], [8, 6]], 'sizes')
        const seeds = await Promise.all([0, 1, 2 ** 31 - 1].map((seed) => vit.predictMasked(png, { seed })))
        equal(new Set(seeds.map(({ mask }) => mask.join())).size, 3, 'seeds')
        if (!options.worker && typeof OffscreenCanvas === 'function')
          equal((await vit.predictMasked(await createImageBitmap(new Blob([png])))).image.width, 97, 'a bitmap')
      })
      for (const model of ['mae', 'simmim', 'mean3bit'])
        await using(source(model), { compute: 'int8', cropPct: 0.5 }, async (vit) => {
          const { mask, grid } = await vit.predictMasked(png)
          equal(isHidden(mask).length, (model === 'mae' ? 0.75 : 0.5) * grid[0] * grid[1], `${model}: by default`)
        })
    })

    test('goes between other calls', async () => {
      await using(source('mae'), {}, async (vit) => {
        const image = some(32, 32)
        const [features, filled] = [await vit.features(image), await vit.predictMasked(image)]
        const later = await Promise.all([vit.predictMasked(image), vit.features(image), vit.attention(image), vit.predictMasked(image)])
        equal([later[0], later[1], later[3]], [filled, features, filled])
        assert(!inNode || (vit.info.last.forward > 0 && vit.info.last.head > 0), 'times') // clocks of pages are coarse
      })
    })

    test('what is asked wrongly', async () => {
      const image = some(32, 32)
      await using(source('mae'), {}, async (vit) => {
        for (const [asked, ...words] of [[{ ratio: 1.5 }, 'ratio', '1.5'], [{ ratio: -0.1 }, 'ratio'], [{ ratio: NaN }, 'ratio'], [{ ratio: '0.5' }, 'ratio'], [{ ratio: 1 }, '0 of 16', 'at least 1'],
          [{ seed: -1 }, 'seed'], [{ seed: 0.5 }, 'seed'], [{ seed: 2 ** 31 }, 'seed'], [{ mask: new Uint8Array(15) }, '15', '4 x 4', '16'], [{ mask: [] }, '0 values'],
          [{ mask: new Uint8Array(16).fill(1) }, 'at least 1'], [{ mask: [0, 2] }, 'mask', '[0,2]'], [{ mask: new Uint8Array(9999).fill(7) }, 'mask'], [{ mask: ['1'] }, 'mask'], [{ mask: [NaN] }, 'mask'], [{ mask: new Array(16) }, 'mask'],
          [{ mask: 1 }, 'mask'], [{ mask: null }, 'mask'], [{ mask: [0, 1], ratio: 0.5 }, 'one of them'], [{ size: 0 }, 'size'], [{ raw: 1 }, 'raw'], [{ topK: 1 }, "'topK'"]]) {
          const error = await rejects(vit.predictMasked(image, asked), 'argument', ...words)
          assert(error.message.length < 400, `${error.message.length} characters`)
        }
        await rejects(vit.predictMasked(rgba(9, 9), { size: 4 }), 'argument', '8x8')
        await rejects(vit.predictMasked('photo.jpg'), 'argument')
        await rejects(vit.predictMasked((await bytesOf(PHOTO)).slice(0, 200)), 'truncated')
        await rejects(vit.predictMasked(image, { signal: AbortSignal.abort() }), 'cancelled')
        equal((await vit.predictMasked(image)).grid, [4, 4], 'and it works')
      })
      await using(url('golden/forward/timm_cls/'), {}, async (vit) => {
        equal([vit.info.decoder, vit.info.network], ['none', 'vit'])
        await rejects(vit.predictMasked(image), 'unsupported', 'no hidden patches')
        equal((await vit.classify(image)).length, 5, 'and the model works')
      })
    })

    test('cancelling, and nothing is kept', async () => {
      const { close } = Wasm.prototype
      let kept
      Wasm.prototype.close = function () {
        return (kept = close.call(this))
      }
      try {
        let late
        await using(source('mean3bit'), {}, async (vit) => {
          const controller = new AbortController()
          const large = vit.predictMasked(Array(20).fill(rgba(300, 200)), { size: long ? 768 : 512, signal: controller.signal })
          setTimeout(() => controller.abort(), 20)
          await rejects(large, 'cancelled')
          await rejects(vit.predictMasked(some(32, 40), { mask: [1] }), 'argument')
          equal((await vit.predictMasked(some(32, 40))).grid, [4, 5], 'the next one')
          late = vit.predictMasked(rgba(300, 200))
          late.catch(() => {})
        })
        await rejects(late, 'disposed')
        await pause()
        if (!options.worker) equal(kept, 0, 'blocks')
      } finally {
        Wasm.prototype.close = close
      }
    })
  })
}
