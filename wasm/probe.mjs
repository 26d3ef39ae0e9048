// A few-shot classifier as a page holds it. The engine keeps the examples and solves; features are made as vit.features() does.

import { VitError, argument, throwIfCancelled } from './errors.mjs'
import { PROBE, checkOptions, show } from './options.mjs'

// As they are given, so that all of them are looked at before anything is computed.
function checkExamples(call, examples) {
  for (const [i, example] of examples.entries()) {
    const { image, features, label } = example ?? {}
    if (typeof label !== 'string' || !label || label.includes('\0')) throw argument(`${call}: the label of example ${i} is a text, not ${show(label)}`)
    if ((image === undefined) === (features === undefined) || !(features === undefined || features instanceof Float32Array))
      throw argument(`${call}: example ${i} is { image, label }, or { features, label } with a Float32Array`)
  }
}

export class Probe {
  #vit
  #ask
  #l2
  #pool
  #address
  #state = { classes: [], examples: 0 } // as the engine describes it
  #opening
  #tail = Promise.resolve() // what was asked before
  #disposed = false

  // ask(question): asks the engine, `opening` first.
  constructor(vit, ask, opening, { pool = 'head', l2 = 0 }) {
    this.#vit = vit
    this.#ask = ask
    this.#l2 = l2
    this.#pool = pool
    this.#opening = ask(opening).then(({ probe, pool, ...state }) => {
      this.#address = probe
      this.#pool = pool
      this.#state = state
    })
  }

  static async fit(vit, ask, examples, options) {
    if (!Array.isArray(examples)) throw argument(`fitFewShot: examples are an array of { image, label }, not ${show(examples)}`)
    checkExamples('fitFewShot', examples)
    const probe = new Probe(vit, ask, { op: 'open', pool: options.pool ?? 'head' }, options)
    try {
      await probe.add(examples, { signal: options.signal })
      return probe
    } catch (error) {
      probe.dispose()
      throw error
    }
  }

  static async load(vit, ask, source, options) {
    const isBlob = source instanceof Blob
    if (!isBlob && !(source instanceof ArrayBuffer) && !ArrayBuffer.isView(source)) throw argument('loadProbe: a probe is bytes or a Blob')
    let bytes
    try {
      bytes = isBlob ? await source.arrayBuffer() : source
    } catch (error) {
      throw new VitError('io', `loadProbe: ${error.message}`, { cause: error })
    }
    // a copy: it may be part of a large buffer, which a worker would get as well
    const copy = new Uint8Array(bytes.buffer ?? bytes, bytes.byteOffset ?? 0, bytes.byteLength).slice()
    throwIfCancelled(options.signal)
    const probe = new Probe(vit, ask, { op: 'decode', name: (isBlob && source.name) || 'probe', bytes: copy }, options)
    await probe.#opening
    return probe
  }

  get classes() {
    return this.#state.classes
  }

  get examples() {
    return this.#state.examples
  }

  get accuracy() {
    return this.examples ? this.#state.right / this.examples : undefined
  }

  get l2() {
    return this.examples ? this.#state.l2 : undefined
  }

  async add(example, options) {
    const { signal } = checkOptions('add', options, {})
    const examples = Array.isArray(example) ? example : [example]
    checkExamples('add', examples)
    const labels = examples.map(({ label }) => label)
    const question = (features) => ({ op: 'add', examples: features.map((one, i) => ({ label: labels[i], features: one })) })
    const ids = await this.#change(() => this.#features(examples, signal), question, signal)
    return Array.isArray(example) ? ids : ids[0]
  }

  async remove(which) {
    const isNumber = Number.isInteger(which) && Math.abs(which) < 2 ** 31
    if (!isNumber && typeof which !== 'string') throw argument(`remove: an example's number or a class's label, not ${show(which)}`)
    await this.#change(() => {}, () => ({ op: 'remove', which }))
  }

  async classify(image, options) {
    const { topK, neighbours = 0, signal } = checkOptions('classify', options, PROBE)
    const images = Array.isArray(image) ? image : [image]
    const features = () => this.#vit.features(images, { pool: this.#pool, signal })
    const answers = await this.#inTurn(features, (features) => ({ op: 'score', features, topK, neighbours }), signal)
    return Array.isArray(image) ? answers : answers[0]
  }

  async save() {
    return this.#inTurn(() => {}, () => ({ op: 'encode' }))
  }

  dispose() {
    if (this.#disposed) return
    this.#inTurn(() => {}, () => ({ op: 'close' })).catch(() => {}) // the ViT may be gone, and with it the probe
    this.#disposed = true
  }

  async #features(examples, signal) {
    const images = examples.filter(({ features }) => !features).map(({ image }) => image)
    const made = images.length ? await this.#vit.features(images, { pool: this.#pool, signal }) : []
    return examples.map(({ features }) => features ?? made.shift())
  }

  async #change(prepare, question, signal) {
    const { ids, ...state } = await this.#inTurn(prepare, (features) => ({ ...question(features), l2: this.#l2 }), signal)
    this.#state = state
    return ids
  }

  // Calls that are made at once are answered in order, whichever has to wait for features, which prepare() brings.
  async #inTurn(prepare, question, signal) {
    if (this.#disposed) throw new VitError('disposed', 'this probe was disposed')
    const answer = Promise.all([prepare(), this.#opening, this.#tail]).then(([features]) => {
      throwIfCancelled(signal)
      return this.#ask({ ...question(features), probe: this.#address })
    })
    this.#tail = Promise.allSettled([answer, this.#tail]).then(() => {})
    return answer
  }
}

Probe.prototype[Symbol.dispose ?? Symbol.for('Symbol.dispose')] = Probe.prototype.dispose
