// vit-wasm: Vision Transformers in WebAssembly. Types and documentation: vit.d.ts.

import { VitError, argument, asVitError, throwIfCancelled, unlessCancelled } from './errors.mjs'
import { cacheSize, clearCache } from './cache.mjs'
import { Client } from './client.mjs'
import { Engine } from './engine.mjs'
import { ENGINE, THREAD, isPage, port, role } from './host.mjs'
import { Intake, snapshot } from './image.mjs'
import { foreign } from './module.mjs'
import { ATTENTION, CLASSIFY, FEATURES, FEW_SHOT, INSPECT, LOAD, MASKED, checkOptions, readOptions, show, sides } from './options.mjs'
import { Probe } from './probe.mjs'
import { openSource } from './read.mjs'
import { addressesOf, describeSource } from './source.mjs'
import { help } from './thread.mjs'
import { training } from './training.mjs'
import { serve } from './worker.mjs'

export { VitError }

const OURS = Symbol('made by ViT.load')

export class ViT {
  #engine
  #disposed = false
  #loaded // what load() was told: the described source and options
  #intake = new Intake()
  first

  constructor(made) {
    if (made !== OURS) throw argument('a ViT is made by ViT.load')
  }

  static models = {
    classify: new URL('./models/classify.gguf', import.meta.url).href,
    masked: new URL('./models/masked.gguf', import.meta.url).href
  }

  static async load(source = ViT.models.classify, options) {
    options = checkOptions('ViT.load', options, LOAD)
    const { threads, compute = 'f32', size, cropPct, decode = 'engine', kernels, cache, sha256, limits, onProgress, signal } = options
    const worker = options.worker ?? (isPage && !foreign)
    if (decode === 'browser' && !(globalThis.createImageBitmap && globalThis.OffscreenCanvas))
      throw new VitError('unsupported', "ViT.load: decode 'browser' needs a browser that has OffscreenCanvas")
    let thrown // what the caller's onProgress threw, at once or as a promise
    const report = (progress) => {
      try {
        Promise.resolve(onProgress?.(progress)).catch((error) => (thrown ??= { error }))
      } catch (error) {
        thrown ??= { error }
      }
      if (thrown) throw thrown.error
    }
    const chosen = { threads, size: sides(size), cropPct, decode, kernels, compute, sha256, limits }
    const taken = options.first === undefined ? undefined : snapshot(options.first, 'first')
    const first = await taken?.catch(() => {}) // vit.first tells
    try {
      throwIfCancelled(signal)
      const vit = new ViT(OURS)
      const described = await describeSource(source)
      const engine = await (worker ? Client : Engine).open(openSource(described, { signal, cache, limits }), chosen, { signal, onProgress: report, first })
      vit.#engine = engine
      if (thrown) {
        vit.dispose()
        throw thrown.error
      }
      vit.#loaded = { source: described, cache, worker, threads, decode, kernels, limits, sha256 }
      vit.first = taken?.then(() => unlessCancelled(engine.call('first', [], {}, signal), signal)).then(([top]) => top)
      vit.first?.catch(() => {}) // nobody need look
      return vit
    } catch (error) {
      first?.close?.()
      throw thrown ? thrown.error : asVitError(error, signal)
    }
  }

  static async cacheSize(url) {
    return cacheSize(await addressesOf(url))
  }

  static async clearCache(url) {
    return clearCache(await addressesOf(url))
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

  async attention(image, options) {
    options = checkOptions('attention', options, ATTENTION)
    const { head, method = head === undefined ? 'rollout' : 'head', layer = -1, query } = options
    if ((method === 'head') !== (head !== undefined))
      throw argument(`attention: method '${method}' ${head === undefined ? 'needs' : 'does not go with'} the option head`)
    return this.#call('attention', image, { method, layer, head: head ?? 0, query }, options.signal)
  }

  async predictMasked(image, options) {
    const { ratio, mask, seed = 0, size, raw = false, signal } = checkOptions('predictMasked', options, MASKED)
    if (mask && ratio !== undefined) throw argument('predictMasked: mask and ratio: expected one of them')
    const asked = { ratio, mask: mask && Uint8Array.from(mask), seed, size: sides(size), raw }
    const answers = await this.#call('predictMasked', image, asked, signal)
    if (globalThis.ImageData)
      for (const answer of [answers].flat())
        for (const name of ['image', 'raw'])
          if (answer[name]) answer[name] = new ImageData(answer[name].data, answer[name].width)
    return answers
  }

  async inspect(what, options) {
    if (!Object.hasOwn(INSPECT, what)) throw argument(`inspect: there are 'filters', 'positions' and 'distance', not ${show(what)}`)
    const { count, size, images, renormalize = false, signal } = checkOptions('inspect', options, INSPECT[what])
    if (what === 'distance') return this.#distance(images, renormalize, signal)
    return this.#ask('inspect', { what, count, size: sides(size) }, signal)
  }

  async fitFewShot(examples, options) {
    options = checkOptions('fitFewShot', options, { ...FEATURES, ...FEW_SHOT })
    return Probe.fit(this.#forProbes, examples, options)
  }

  async loadProbe(source, options) {
    options = checkOptions('loadProbe', options, FEW_SHOT)
    return Probe.load(this.#forProbes, source, options)
  }

  async train(options) {
    const asked = readOptions('train', options)
    const { signal } = checkOptions('train', { signal: asked.signal }, {}) // the others are what trains knows
    try {
      this.#check(signal)
      const { Trainer } = await unlessCancelled(training(), signal)
      this.#check(signal)
      return await Trainer.open(this.#loaded, this.info.labels, asked)
    } catch (error) {
      throw asVitError(error, signal)
    }
  }

  dispose() {
    if (this.#disposed) return
    this.#disposed = true
    this.#loaded = undefined
    this.#engine.close('this ViT was disposed')
  }

  // Means over the images.
  async #distance(images, renormalize, signal) {
    const list = Array.isArray(images) ? images : [images]
    if (images === undefined || !list.length) throw argument("inspect: 'distance' needs images")
    const each = await this.#call('distance', list, { renormalize }, signal)
    const mean = (layer, head) => each.reduce((sum, one) => sum + one[layer][head], 0) / list.length
    return { pictures: list.length, distance: each[0].map((heads, layer) => heads.map((_, head) => mean(layer, head))) }
  }

  // What it is asked is never cancelled half-way: a probe knows what it holds.
  #forProbes = {
    ask: (question) => this.#ask('probe', question),
    features: (image, { pool, signal, names }) => this.#call('features', image, { pool }, signal, names)
  }

  // For what needs no picture.
  async #ask(method, options, signal) {
    try {
      this.#check(signal)
      const [answer] = await unlessCancelled(this.#engine.call(method, [], options, signal), signal)
      return answer
    } catch (error) {
      throw asVitError(error, signal)
    }
  }

  #check(signal) {
    if (this.#disposed) throw new VitError('disposed', 'this ViT was disposed')
    throwIfCancelled(signal)
  }

  // names: of the images, for errors.
  async #call(method, image, options, signal, names) {
    try {
      const isList = Array.isArray(image)
      const images = isList ? [...image] : [image]
      names ??= images.map((_, i) => (isList ? `image ${i}` : 'image'))
      const snapshots = images.map((one, i) => snapshot(one, names[i]))
      const answers = await this.#intake.hand(snapshots, signal, (ready) => {
        this.#check(signal)
        return unlessCancelled(this.#engine.call(method, ready, { ...options, names }, signal), signal)
      })
      return isList ? answers : answers[0]
    } catch (error) {
      throw asVitError(error, signal)
    }
  }
}

ViT.prototype[Symbol.dispose ?? Symbol.for('Symbol.dispose')] = ViT.prototype.dispose

// A worker of ours runs this file too.
if (role === ENGINE) serve(port)
if (role === THREAD) help(port)
