// A few-shot classifier as a page holds it. The engine keeps the examples and solves; features are made as vit.features() does.

import { VitError, argument, throwIfCancelled, unlessCancelled } from './errors.mjs'
import { PROBE, checkOptions, show } from './options.mjs'

const isLabel = (label) => typeof label === 'string' && label !== '' && !label.includes('\0')

// As they are now, all of them looked at before anything is computed.
function readExamples(call, examples) {
  return Array.from(examples, (example, i) => {
    const { image, features, label } = example ?? {}
    if (!isLabel(label)) throw argument(`${call}: the label of example ${i} is a text, not ${show(label)}`)
    if ((image === undefined) === (features === undefined) || !(features === undefined || features instanceof Float32Array))
      throw argument(`${call}: example ${i} is { image, label }, or { features, label } with a Float32Array`)
    return { image, features, label }
  })
}

export class Probe {
  #model
  #l2
  #pool
  #number // by which the engine knows it
  #state = { classes: [], examples: 0 } // as the engine describes it
  #opening
  #tail = Promise.resolve() // what was asked before
  #disposed = false

  // model: { ask(question), features(image, { pool, signal, names }) }. opening: what is asked first.
  constructor(model, opening, { pool = 'head', l2 = 0 }) {
    this.#model = model
    this.#l2 = l2
    this.#pool = pool
    this.#opening = model.ask(opening).then(({ probe, pool, ...state }) => {
      this.#number = probe
      this.#pool = pool
      this.#state = state
    })
  }

  static async fit(model, examples, options) {
    if (!Array.isArray(examples)) throw argument(`fitFewShot: examples are an array of { image, label }, not ${show(examples)}`)
    const read = readExamples('fitFewShot', examples)
    const probe = new Probe(model, { op: 'open', pool: options.pool ?? 'head' }, options)
    return probe.#after(probe.#add(read, options.signal))
  }

  static async load(model, source, { signal, ...options }) {
    const isBlob = source instanceof Blob
    if (!isBlob && !(source instanceof ArrayBuffer) && !ArrayBuffer.isView(source)) throw argument('loadProbe: a probe is bytes or a Blob')
    let bytes
    try {
      const given = isBlob ? await unlessCancelled(source.arrayBuffer(), signal) : source
      // a copy: it may be part of a large buffer, which a worker would get as well
      bytes = new Uint8Array(given.buffer ?? given, given.byteOffset ?? 0, given.byteLength).slice()
    } catch (error) {
      throwIfCancelled(signal)
      throw new VitError(isBlob ? 'io' : 'argument', `loadProbe: ${error.message}`, { cause: error })
    }
    throwIfCancelled(signal)
    const probe = new Probe(model, { op: 'decode', name: (isBlob && source.name) || 'probe', bytes }, options)
    return probe.#after(unlessCancelled(probe.#opening, signal))
  }

  // This probe, once it is made.
  async #after(making) {
    try {
      await making
      return this
    } catch (error) {
      this.dispose()
      throw error
    }
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
    const isList = Array.isArray(example)
    const ids = await this.#add(readExamples('add', isList ? example : [example]), signal)
    return isList ? ids : ids[0]
  }

  async remove(which) {
    const isNumber = Number.isInteger(which) && Math.abs(which) < 2 ** 31
    if (!isNumber && !isLabel(which)) throw argument(`remove: an example's number or a class's label, not ${show(which)}`)
    await this.#change(() => {}, () => ({ op: 'remove', which }))
  }

  async classify(image, options) {
    const { topK, neighbours = 0, signal } = checkOptions('classify', options, PROBE)
    const features = () => this.#model.features(image, { pool: this.#pool, signal })
    const answers = await this.#inTurn(features, (features) => ({ op: 'score', features: [features].flat(), topK, neighbours }), signal)
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

  #add(examples, signal) {
    const pictures = [...examples.keys()].filter((i) => !examples[i].features)
    const make = async () => {
      if (!pictures.length) return examples
      const names = pictures.map((i) => `example ${i}`)
      const made = await this.#model.features(pictures.map((i) => examples[i].image), { pool: this.#pool, signal, names })
      return examples.map(({ label, features }) => ({ label, features: features ?? made.shift() }))
    }
    return this.#change(make, (examples) => ({ op: 'add', examples }), signal)
  }

  async #change(prepare, question, signal) {
    const { ids, ...state } = await this.#inTurn(prepare, (prepared) => ({ ...question(prepared), l2: this.#l2 }), signal)
    this.#state = state
    return ids
  }

  // Calls that are made at once are answered in order, whichever has to wait for features, which prepare() brings.
  async #inTurn(prepare, question, signal) {
    if (this.#disposed) throw new VitError('disposed', 'this probe was disposed')
    const answer = unlessCancelled(Promise.all([prepare(), this.#opening, this.#tail]), signal).then(([prepared]) =>
      this.#model.ask({ ...question(prepared), probe: this.#number }))
    this.#tail = Promise.allSettled([answer, this.#tail]).then(() => {})
    return answer
  }
}

Probe.prototype[Symbol.dispose ?? Symbol.for('Symbol.dispose')] = Probe.prototype.dispose
