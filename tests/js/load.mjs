// Load: many classifications in one model, many calls at once, models that come and go. Unchanged in Node and in a page.

import { ViT } from '../../wasm/index.js'
import { assert, equal, rejects } from './harness.mjs'

const MODEL = 'golden/forward/timm_cls/'
const PHOTO = 'golden/preprocess/timm_eval/synth0.png'
const MEGABYTE = 2 ** 20

// base: of the test server. options: for every load. count: of classifications. memory(): { heap, outside }, bytes after
// collection. Returns lines that tell what was measured.
export async function runLoad({ base, options, count, memory }) {
  const url = (path) => new URL(path, base).href
  const png = new Uint8Array(await (await fetch(url(PHOTO))).arrayBuffer())
  const rgba = (width, height, seed) => ({ data: Uint8ClampedArray.from({ length: 4 * width * height }, (_, i) => (i % 4 === 3 ? 255 : (i * seed) % 256)), width, height })
  const load = () => ViT.load(url(MODEL), options)
  const lines = []

  async function flat(what, use) {
    const before = await memory()
    await use()
    const after = await memory()
    for (const part of Object.keys(before)) {
      const grown = after[part] - before[part]
      assert(Math.abs(grown) <= MEGABYTE, `${what}: ${part} ${before[part]}, then ${after[part]} bytes`)
      lines.push(`${what}: ${part} ${(before[part] / MEGABYTE).toFixed(2)} MiB, ${grown < 0 ? '' : '+'}${(grown / 1024).toFixed(1)} KiB`)
    }
  }

  async function classifyMany(vit) {
    const images = [png, rgba(32, 32, 7), rgba(90, 50, 3), rgba(33, 70, 11)]
    const wanted = []
    for (let i = 0; i < 200; i++) wanted[i % images.length] = await vit.classify(images[i % images.length])
    const { wasm } = vit.info.memory
    const times = new Float64Array(count)
    await flat(`${count} classifications`, async () => {
      for (let i = 0; i < count; i++) {
        const start = performance.now()
        const found = await vit.classify(images[i % images.length])
        times[i] = performance.now() - start
        if (i % 97 === 0) equal(found, wanted[i % images.length], `answer ${i}`)
      }
    })
    equal(vit.info.memory.wasm, wasm, 'bytes of WebAssembly memory')
    times.sort()
    const [median, late] = [0.5, 0.99].map((share) => times[Math.floor(share * (count - 1))].toFixed(2))
    lines.push(`${count} classifications: WebAssembly memory ${wasm / MEGABYTE} MiB, the same; median ${median} ms, 99th percentile ${late} ms`)
  }

  async function classifyAtOnce(vit) {
    const images = Array.from({ length: 64 }, (_, i) => rgba(20 + (i % 5), 20 + (i % 7), i + 1))
    const wanted = []
    for (const image of images) wanted.push(await vit.classify(image))
    for (const cancelled of [-1, 0, 20, 63]) {
      const controller = new AbortController()
      const order = []
      const calls = images.map((image, i) => vit.classify(image, i === cancelled ? { signal: controller.signal } : {}))
      const told = calls.map((call, i) => i === cancelled ? rejects(call, 'cancelled') : call.then((found) => (order.push(i), equal(found, wanted[i], `answer ${i}`))))
      controller.abort()
      await Promise.all(told)
      equal(order, [...images.keys()].filter((i) => i !== cancelled), 'order of the answers')
    }
    lines.push('64 calls at once: answered in order; of those with one cancelled, the others are right')
  }

  async function comeAndGo() {
    const once = async () => {
      const vit = await load()
      await vit.classify(png)
      vit.dispose()
      return vit.info.memory.wasm
    }
    const wasm = await once()
    for (let i = 0; i < 4; i++) await once()
    await flat('50 models that come and go', async () => {
      for (let i = 0; i < 50; i++) equal(await once(), wasm, 'bytes of WebAssembly memory')
    })
  }

  const vit = await load()
  await classifyMany(vit)
  await classifyAtOnce(vit)
  vit.dispose()
  await comeAndGo()
  return lines
}
