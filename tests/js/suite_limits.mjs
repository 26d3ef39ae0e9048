// The part of the suite about memory: limits that are options, what cannot be had, what changes while it waits.

import { assert, describe, equal, rejects, test } from './harness.mjs'

const TIMM = 'golden/forward/timm_cls/'
const PHOTO = 'golden/preprocess/timm_eval/synth0.png'

// A proxy as frameworks make them, of arrays and plain objects, however deep.
const reactive = (value) => new Proxy(value, {
  get(target, name) {
    const inner = Reflect.get(target, name)
    return Array.isArray(inner) || inner?.constructor === Object ? reactive(inner) : inner
  }
})

// What it uses of the suite's own helpers.
export function defineLimits({ url, bytesOf, load, using, some, options, long }) {
  describe('arguments', () => {
    test('what throws while it is read is the caller\'s fault', async () => {
      const angry = { get topK() { throw new RangeError('no') } }
      const { proxy, revoke } = Proxy.revocable([], {})
      revoke()
      await using(url(TIMM), {}, async (vit) => {
        await rejects(vit.classify(some(32, 32), angry), 'argument', 'options', 'no')
        const error = await vit.classify(proxy).then(() => null, (e) => e)
        equal(error.name, 'VitError')
        let reads = 0
        const changing = { get topK() { return reads++ ? 'many' : 2 } }
        equal((await vit.classify(some(32, 32), changing)).length, 2, 'an option is read once')
        const data = new Uint8ClampedArray(16)
        for (const [width, height] of [[1.6, 2.5], ['2', '2'], [2, '2']]) await rejects(vit.classify({ data, width, height }), 'argument', 'whole numbers')
        equal((await vit.classify({ data, width: 2, height: 2 })).length, 5)
        let made
        try {
          made = new vit.constructor()
        } catch (e) {
          equal([e.name, e.code], ['VitError', 'argument'])
        }
        equal(made, undefined, 'a ViT without a model')
      })
    })

    test('options and lists may be proxies, and change after the call', async () => {
      await using(url(TIMM), reactive({ size: [32, 32], limits: { tokens: 999 } }), async (vit) => {
        const [picture, other] = [some(32, 32), some(32, 32, 2)]
        equal((await vit.classify(reactive([picture, reactive({ ...other })]))).length, 2)
        equal((await vit.inspect('positions', reactive({ size: [32, 48] }))).grid, [4, 6])
        const images = [picture, other]
        const wanted = await vit.inspect('distance', { images })
        const distances = vit.inspect('distance', { images })
        images.length = 0
        equal(await distances, wanted)
        const examples = [{ image: picture, label: 'a' }, { features: await vit.features(other), label: 'b' }]
        const fitting = vit.fitFewShot(reactive(examples))
        examples.pop()
        examples[0].label = 'c'
        equal((await fitting).classes.map(({ label }) => label), ['a', 'b'])
      })
    })

    test('a promise of onProgress that fails ends the load', async () => {
      const mine = new RangeError('mine')
      const error = await load(url(TIMM), { onProgress: async () => { throw mine } }).then(() => null, (e) => e)
      equal(error, mine)
      await using(url(TIMM), { onProgress: async () => 5 }, () => {})
    })
  })

  describe('limits', () => {
    if (long)
      test('what a limit refuses names the option', async () => {
        for (const [name, value] of [['fileBytes', 3000], ['headerBytes', 100], ['configBytes', 10], ['tensors', 3], ['jsonDepth', 1], ['layers', 1]])
          await rejects(load(url(TIMM), { limits: { [name]: value } }), 'limit', `(option limits.${name})`)
        const photo = await bytesOf(PHOTO)
        for (const [name, value] of [['imagePixels', 1000], ['imageSide', 20]])
          await using(url(TIMM), { limits: { [name]: value } }, (vit) => rejects(vit.logits(photo), 'limit', `(option limits.${name})`))
        await rejects(load(url(TIMM), { limits: { tokens: 4 } }), 'limit', '(option limits.tokens)')
        await using(url(TIMM), { limits: { tokens: 500, fileBytes: 2 ** 40 } }, async (vit) => equal((await vit.classify(photo)).length, 5))
        for (const limits of [{ pixels: 1 }, { tokens: 0 }, { tokens: 2 ** 32 }, { tokens: '9' }, 7, null, []])
          await rejects(load(url(TIMM), { limits }), 'argument', 'limits', 'imagePixels')
        await rejects(load(url(TIMM), { limits: { tokens: NaN } }), 'argument', 'NaN')
        await using(url(TIMM), { limits: { tokens: undefined, imagePixels: undefined } }, async (vit) => equal((await vit.classify(photo)).length, 5))
      })

    if (long)
      test('what no memory can hold is refused before it is asked for', () =>
        using(url(TIMM), { limits: { tokens: 2 ** 20 } }, async (vit) => {
          const image = some(32, 32), wanted = await vit.logits(image)
          await rejects(vit.inspect('positions', { size: [1024, 2048] }), 'out-of-memory', '4294967296 bytes') // 32768 patches, each against each
          equal(await vit.logits(image), wanted)
          const { wasm } = vit.info.memory
          await rejects(vit.classify(new Blob([new Uint8Array(48 << 20)])), 'unsupported', '0x00')
          equal(vit.info.memory.wasm, wasm, 'memory after 48 MiB that are no picture')
        }))

    test('a picture whose file is too large is not read', async () => {
      const photo = new Blob([await bytesOf(PHOTO), new Uint8Array(150000)])
      photo.arrayBuffer = () => Promise.reject(new Error('it was read'))
      for (const decode of globalThis.createImageBitmap ? ['engine', 'browser'] : ['engine'])
        await using(url(TIMM), { decode, limits: { fileBytes: 140000 } }, async (vit) => {
          await rejects(vit.logits(photo), 'limit', `${photo.size} bytes, the limit is 140000 (option limits.fileBytes)`)
          await rejects(vit.logits(new Uint8Array(140001)), 'limit', '140001')
        })
    })

    if (globalThis.SharedArrayBuffer)
      test('shared memory may hold pictures, configs and weights', async () => {
        const shared = (bytes) => {
          const copy = new Uint8Array(new SharedArrayBuffer(bytes.length))
          copy.set(bytes)
          return copy
        }
        const [photo, config, weights] = await Promise.all([PHOTO, TIMM + 'config.json', TIMM + 'model.safetensors'].map(bytesOf))
        const wanted = await using(url(TIMM), {}, (vit) => vit.logits(photo))
        for (const decode of globalThis.createImageBitmap ? ['engine', 'browser'] : ['engine'])
          await using({ config: shared(config), weights: shared(weights) }, { decode }, async (vit) => equal(await vit.logits(shared(photo)), wanted, decode))
      })

    test('pixels that are given away or resized after the call', () =>
      using(url(TIMM), {}, async (vit) => {
        const wanted = await vit.logits(some(32, 32))
        const settled = (call) => call.then((found) => equal(found, wanted, 'in time'), (error) => equal(error.code, 'argument', error.message)) // it may have been posted by then
        for (const layout of ['nhwc', 'nchw']) {
          const { pixels } = some(32, 32)
          const given = vit.logits({ pixels, width: 32, height: 32, layout })
          structuredClone(pixels.buffer, { transfer: [pixels.buffer] })
          await given.then((found) => layout === 'nhwc' && equal(found, wanted), (error) => equal(error.code, 'argument', error.message))
        }
        if (ArrayBuffer.prototype.resize) {
          const buffer = new ArrayBuffer(4 * 3072, { maxByteLength: 4 * 3072 * 64 })
          const pixels = new Float32Array(buffer)
          pixels.set(some(32, 32).pixels)
          const resized = vit.logits({ pixels, width: 32, height: 32 })
          buffer.resize(4 * 3072 * 64)
          pixels.fill(1e9, 3072)
          await settled(resized)
        }
        const bytes = await bytesOf(PHOTO)
        structuredClone(bytes.buffer, { transfer: [bytes.buffer] })
        await rejects(vit.logits(bytes), 'argument')
        await rejects(vit.logits([, some(32, 32)]), 'argument', 'image 0')
        equal(await vit.logits(some(32, 32)), wanted, 'the engine is whole')
      }))

    if (long && !options.worker)
      test('memory that cannot grow is out-of-memory, and the engine goes on', async () => {
        const { Memory } = WebAssembly
        WebAssembly.Memory = class extends Memory {
          constructor(wanted) {
            super({ ...wanted, maximum: Math.min(wanted.maximum, 160) }) // 10 MiB
          }
        }
        const image = some(32, 32)
        let vit
        try {
          vit = await load(url(TIMM))
        } finally {
          WebAssembly.Memory = Memory
        }
        const wanted = await vit.logits(image)
        for (const side of [1024, 640]) {
          await rejects(vit.logits(some(side, side)), 'out-of-memory', 'memory')
          equal(await vit.logits(image), wanted, `after ${side}`)
        }
        assert(vit.info.memory.wasm <= 160 * 65536, 'memory')
        vit.dispose()
      })
  })
}
