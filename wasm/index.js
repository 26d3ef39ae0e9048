// vit-wasm: Vision Transformers in WebAssembly. Types and documentation: vit.d.ts.

import { VitError, asVitError, throwIfCancelled, unlessCancelled } from './errors.js'
import { Client } from './client.js'
import { Engine } from './engine.js'
import { foreign, isPage } from './host.js'
import { snapshot } from './image.js'
import { describeSource } from './source.js'

export { VitError }

const argument = (message) => new VitError('argument', message)
const POOLS = ['head', 'cls', 'mean']
const isCount = (value) => Number.isInteger(value) && value > 0

// What each option must be, in words and as a test.
const LOAD = {
  threads: ['a whole number from 1 to 64', (n) => isCount(n) && n <= 64],
  worker: ['true or false', (on) => typeof on === 'boolean'],
  compute: ["'f32' or 'int8'", (type) => type === 'f32' || type === 'int8'],
  size: ['a whole number of pixels or [height, width]', (size) => isCount(size) || (size?.length === 2 && size.every?.(isCount))],
  cropPct: ['a number above 0, at most 1', (part) => part > 0 && part <= 1],
  decode: ["'engine' or 'browser'", (by) => by === 'engine' || by === 'browser'],
  kernels: ["'simd128' or 'relaxed'", (name) => /^(simd128|relaxed)(:|$)/.test(name)],
  onProgress: ['a function', (call) => typeof call === 'function']
}
const CLASSIFY = { topK: ['a whole number above 0', isCount] }
const FEATURES = { pool: ["'head', 'cls' or 'mean'", (pool) => POOLS.includes(pool)] }

function checkOptions(call, options, known) {
  for (const [name, value] of Object.entries({ ...options, signal: undefined })) {
    if (value === undefined) continue
    if (!known[name]) throw argument(`${call}: there is no option '${name}'; there are ${[...Object.keys(known), 'signal'].join(', ')}`)
    const [words, test] = known[name]
    if (!test(value)) throw argument(`${call}: ${name} is ${words}, not ${JSON.stringify(value) ?? typeof value}`)
  }
}

export class ViT {
  #engine
  #disposed = false
  #posted = Promise.resolve() // snapshots are handed on in the order of the calls

  static async load(source, options = {}) {
    checkOptions('ViT.load', options, LOAD)
    const { threads, compute = 'f32', size, cropPct, decode = 'engine', kernels, onProgress, signal } = options
    const worker = options.worker ?? (isPage && !foreign)
    if (source === undefined)
      throw argument('ViT.load: this version comes without a default model: pass the URL or the bytes of one')
    if (compute !== 'f32') throw new VitError('unsupported', `ViT.load: compute '${compute}' is not in this version; 'f32' is`)
    if (decode === 'browser' && !globalThis.createImageBitmap)
      throw new VitError('unsupported', "ViT.load: decode 'browser' needs a browser")
    const chosen = { threads, size: typeof size === 'number' ? [size, size] : size, cropPct, decode, kernels }
    try {
      throwIfCancelled(signal)
      const vit = new ViT()
      vit.#engine = await (worker ? Client : Engine).open(await describeSource(source), chosen, { signal, onProgress })
      return vit
    } catch (error) {
      throw asVitError(error, signal)
    }
  }

  get info() {
    return this.#engine.info
  }

  async classify(image, options = {}) {
    checkOptions('classify', options, CLASSIFY)
    return this.#call('classify', image, { topK: options.topK ?? 5 }, options.signal)
  }

  async logits(image, options = {}) {
    checkOptions('logits', options, {})
    return this.#call('logits', image, {}, options.signal)
  }

  async features(image, options = {}) {
    checkOptions('features', options, FEATURES)
    return this.#call('features', image, { pool: options.pool ?? 'head' }, options.signal)
  }

  dispose() {
    if (this.#disposed) return
    this.#disposed = true
    this.#engine.close()
  }

  async #call(method, image, options, signal) {
    const images = Array.isArray(image) ? image : [image]
    const taken = Promise.all(images.map((one, i) => snapshot(one, Array.isArray(image) ? `image ${i}` : 'image')))
    const before = this.#posted
    this.#posted = taken.catch(() => {}).then(() => before)
    try {
      throwIfCancelled(signal)
      const ready = await taken
      await before
      if (this.#disposed) throw new VitError('disposed', 'this ViT was disposed')
      throwIfCancelled(signal)
      const answers = await unlessCancelled(this.#engine.call(method, ready, options, signal), signal)
      return Array.isArray(image) ? answers : answers[0]
    } catch (error) {
      throw asVitError(error, signal)
    }
  }
}

ViT.prototype[Symbol.dispose ?? Symbol.for('Symbol.dispose')] = ViT.prototype.dispose
