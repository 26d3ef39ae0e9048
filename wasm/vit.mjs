// vit-wasm: Vision Transformers in WebAssembly. Types and documentation: vit.d.ts.

import { VitError, asVitError, throwIfCancelled, unlessCancelled } from './errors.mjs'
import { cacheSize, clearCache } from './cache.mjs'
import { Client } from './client.mjs'
import { Engine } from './engine.mjs'
import { ENGINE, THREAD, isPage, port, role } from './host.mjs'
import { snapshot } from './image.mjs'
import { foreign } from './module.mjs'
import { openSource } from './read.mjs'
import { describeSource } from './source.mjs'
import { help } from './thread.mjs'
import { serve } from './worker.mjs'

export { VitError }

const argument = (message) => new VitError('argument', message)
const POOLS = ['head', 'cls', 'mean']
const isCount = (value) => Number.isInteger(value) && value > 0
const isSide = (value) => isCount(value) && value <= 65535

// What each option must be, in words and as a test.
const LOAD = {
  threads: ['a whole number from 1 to 64', (n) => isCount(n) && n <= 64],
  worker: ['true or false', (on) => typeof on === 'boolean'],
  compute: ["'f32' or 'int8'", (type) => type === 'f32' || type === 'int8'],
  size: ['a whole number of pixels, at most 65535, or [height, width]', (size) => isSide(size) || (Array.isArray(size) && size.length === 2 && size.every(isSide))],
  cropPct: ['a number above 0, at most 1', (part) => typeof part === 'number' && part > 0 && part <= 1],
  decode: ["'engine' or 'browser'", (by) => by === 'engine' || by === 'browser'],
  kernels: ["'simd128' or 'relaxed'", (name) => typeof name === 'string' && /^(simd128|relaxed)([:,]|$)/.test(name)],
  onProgress: ['a function', (call) => typeof call === 'function'],
  cache: ['true or false', (on) => typeof on === 'boolean'],
  sha256: ['a text of 64 hexadecimal digits', (sum) => typeof sum === 'string' && /^[0-9a-f]{64}$/i.test(sum)],
  first: ['an image', () => true]
}
const CLASSIFY = { topK: ['a whole number above 0', isCount] }
const SIGNAL = { signal: ['an AbortSignal', (signal) => signal instanceof AbortSignal] }
const FEATURES = { pool: ["'head', 'cls' or 'mean'", (pool) => POOLS.includes(pool)] }

function show(value) {
  try {
    return typeof value === 'number' ? String(value) : (JSON.stringify(value) ?? typeof value)
  } catch {
    return typeof value
  }
}

// The options themselves, {} for none.
function checkOptions(call, options, known) {
  const all = { ...known, ...SIGNAL }
  if (typeof (options ?? {}) !== 'object') throw argument(`${call}: options are an object, not ${show(options)}`)
  for (const [name, value] of Object.entries(options ?? {})) {
    if (value === undefined) continue
    if (!Object.hasOwn(all, name)) throw argument(`${call}: there is no option '${name}'; there are ${Object.keys(all).join(', ')}`)
    const [words, test] = all[name]
    if (!test(value)) throw argument(`${call}: ${name} is ${words}, not ${show(value)}`)
  }
  return options ?? {}
}

export class ViT {
  #engine
  #disposed = false
  #posted = Promise.resolve() // snapshots are handed on in the order of the calls
  first

  static async load(source, options) {
    options = checkOptions('ViT.load', options, LOAD)
    const { threads, compute = 'f32', size, cropPct, decode = 'engine', kernels, cache, sha256, onProgress, signal } = options
    const worker = options.worker ?? (isPage && !foreign)
    if (source === undefined)
      throw argument('ViT.load: this version comes without a default model: pass the URL or the bytes of one')
    if (decode === 'browser' && !globalThis.createImageBitmap)
      throw new VitError('unsupported', "ViT.load: decode 'browser' needs a browser")
    let thrown // what the caller's onProgress threw
    const report = (progress) => {
      try {
        onProgress?.(progress)
      } catch (error) {
        thrown = { error }
        throw error
      }
    }
    const chosen = { threads, size: typeof size === 'number' ? [size, size] : size, cropPct, decode, kernels, compute, sha256 }
    const taken = options.first === undefined ? undefined : snapshot(options.first, 'first')
    const first = await taken?.catch(() => {}) // vit.first tells
    try {
      throwIfCancelled(signal)
      const vit = new ViT()
      const engine = await (worker ? Client : Engine).open(openSource(await describeSource(source), { signal, cache }), chosen, { signal, onProgress: report, first })
      vit.#engine = engine
      vit.first = taken?.then(() => unlessCancelled(engine.call('first', [], {}, signal), signal)).then(([top]) => top)
      vit.first?.catch(() => {}) // nobody need look
      return vit
    } catch (error) {
      first?.close?.()
      throw thrown ? thrown.error : asVitError(error, signal)
    }
  }

  static cacheSize() {
    return cacheSize()
  }

  static clearCache() {
    return clearCache()
  }

  get info() {
    return this.#engine.info
  }

  async classify(image, options) {
    options = checkOptions('classify', options, CLASSIFY)
    return this.#call('classify', image, { topK: options.topK ?? 5 }, options.signal)
  }

  async logits(image, options) {
    options = checkOptions('logits', options, {})
    return this.#call('logits', image, {}, options.signal)
  }

  async features(image, options) {
    options = checkOptions('features', options, FEATURES)
    return this.#call('features', image, { pool: options.pool ?? 'head' }, options.signal)
  }

  dispose() {
    if (this.#disposed) return
    this.#disposed = true
    this.#engine.close()
  }

  async #call(method, image, options, signal) {
    const images = Array.isArray(image) ? image : [image]
    const snapshots = images.map((one, i) => snapshot(one, Array.isArray(image) ? `image ${i}` : 'image'))
    const taken = Promise.all(snapshots)
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
    } finally {
      // Bitmaps that did not get as far as the engine, which closes its own.
      for (const one of snapshots) one.then((ready) => ready.close?.(), () => {})
    }
  }
}

ViT.prototype[Symbol.dispose ?? Symbol.for('Symbol.dispose')] = ViT.prototype.dispose

// A worker of ours runs this file too.
if (role === ENGINE) serve(port)
if (role === THREAD) help(port)
