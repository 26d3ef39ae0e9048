// The part of the suite about ViT.load's option `first`.

import { Wasm } from '../../wasm/module.mjs'
import { assert, describe, equal, rejects, test } from './harness.mjs'

const TIMM = 'golden/forward/timm_cls/'
const HF = 'golden/forward/hf_vit/'
const PHOTO = 'golden/preprocess/timm_eval/synth0.png'
const inNode = typeof process === 'object'

// What it uses of the suite's own helpers.
export function defineFirst({ url, bytesOf, load, using, streamOf, some, rgba, pause, options, has }) {
  describe('first', () => {
    const sources = async () => {
      const [weights, config] = [await bytesOf(TIMM + 'model.safetensors'), await bytesOf(TIMM + 'config.json')]
      const gguf = has.native && (await bytesOf('built/timm_cls.gguf'))
      return [url(TIMM), url(TIMM + 'model.safetensors?chunk=3011'), { config, weights }, { config, weights: streamOf(weights, [1, 7, 4096, 13]) },
        ...(gguf ? [gguf, streamOf(gguf, [977]), streamOf(gguf, [1, 7, 4096, 13])] : [])]
    }

    test('is what classify brings', async () => {
      const png = await bytesOf(PHOTO)
      const images = [png, new Blob([png]), rgba(40, 30), some(32, 32), some(48, 24), new DataView(new Uint8Array([0, ...png]).buffer, 1)]
      if (!inNode) images.push(await createImageBitmap(new Blob([png])), await createImageBitmap(new Blob([png])))
      for (const [i, source] of (await sources()).entries())
        await using(source, { first: images[i % images.length] }, async (vit) => {
          const later = vit.classify(images[i % images.length])
          const first = await vit.first
          equal(first.length, 5)
          assert(vit.info.last.forward > 0 || !inNode, 'times')
          equal(first, await later, `source ${i}`)
        })
      await using(url(HF), { first: png, size: 48 }, async (vit) => {
        equal((await vit.first)[0].label.slice(0, 6), 'LABEL_', 'labels')
        equal(await vit.first, await vit.classify(png))
      })
      if (!inNode)
        await using(url(TIMM), { first: png, decode: 'browser' }, async (vit) => equal(await vit.first, await vit.classify(png)))
      await using(url(TIMM), {}, (vit) => equal(vit.first, undefined, 'without the option'))
    })

    test('stages run before the file has ended', async () => {
      if (options.worker || !has.native) return
      const { advance } = Wasm.prototype
      let ran = 0
      Wasm.prototype.advance = function () {
        const more = advance.call(this)
        if (more >= 0) ran++
        return more
      }
      try {
        const gguf = await bytesOf('built/timm_cls.gguf')
        const seen = []
        await using(streamOf(gguf, [1000]), { first: some(32, 32), onProgress: () => seen.push(ran) }, (vit) => vit.first)
        equal(ran, 17, 'stages')
        equal(seen.at(-1) >= 12, true, `those that ran before the last piece: ${seen}`)
      } finally {
        Wasm.prototype.advance = advance
      }
    })

    test('a picture that is none does not fail the load', async () => {
      for (const [first, code] of [['photo.jpg', 'argument'], [(await bytesOf(PHOTO)).subarray(0, 200), 'truncated'], [{ data: new Uint8ClampedArray(15), width: 2, height: 2 }, 'argument']])
        await using(url(TIMM), { first }, async (vit) => {
          await rejects(vit.first, code)
          equal((await vit.classify(some(32, 32))).length, 5, 'and the model works')
        })
      const gone = await bytesOf(PHOTO)
      const view = new DataView(gone.buffer, 1)
      structuredClone(gone.buffer, { transfer: [gone.buffer] })
      await using(url(TIMM), { first: gone }, async (vit) => {
        await rejects(vit.first, 'argument', 'first')
        for (const one of [gone, view]) await rejects(vit.classify([some(32, 32), one]), 'argument', 'image 1')
        equal((await vit.classify(some(32, 32))).length, 5, 'and the model works')
      })
      await using(url(TIMM), { first: 'nobody looks' }, () => pause())
    })

    test('cancelling', async () => {
      const [weights, config] = [await bytesOf(TIMM + 'model.safetensors'), await bytesOf(TIMM + 'config.json')]
      for (const end of [1, 60000, weights.length]) {
        const controller = new AbortController()
        const onProgress = ({ phase, loaded }) => phase === 'weights' && loaded >= end && controller.abort()
        await rejects(load({ config, weights: streamOf(weights, [1000]) }, { first: some(640, 640), signal: controller.signal, onProgress }), 'cancelled')
      }
      const controller = new AbortController()
      await using(url(TIMM), { first: some(640, 640), signal: controller.signal }, async (vit) => {
        controller.abort()
        await rejects(vit.first, 'cancelled')
        equal((await vit.classify(some(32, 32))).length, 5, 'the model stays')
      })
      const vit = await load(url(TIMM), { first: some(640, 640) })
      vit.dispose()
      await rejects(vit.first, 'disposed')
    })

    test('files that break off', async () => {
      const [weights, config] = [await bytesOf(TIMM + 'model.safetensors'), await bytesOf(TIMM + 'config.json')]
      for (const length of [5000, weights.length - 1])
        await rejects(load({ config, weights: weights.slice(0, length) }, { first: some(32, 32) }), 'truncated')
      await rejects(load(url('nowhere/model.safetensors'), { first: some(32, 32) }), 'http')
    })
  })
}
