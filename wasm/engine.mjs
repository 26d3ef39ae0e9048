// The engine, in place: one model, calls answered one after another.

import { VitError, allocate, throwIfCancelled, unlessCancelled } from './errors.mjs'
import { breathe, files, isolated } from './host.mjs'
import { isPixels, readImage } from './image.mjs'
import { loadSource } from './load.mjs'
import { Wasm } from './module.mjs'

const BATCH = 8 // images that run at once; more run one batch after another
const METHODS = ['rollout', 'mean', 'head'] // of attention
const QUERIES = { cls: -2, mean: -3 } // as the engine numbers them; -1: as the network makes its answer
const ROWS = 64 // of what is computed between patches, at a time
const PATIENCE = 10000 // ms for the names of classes
const TURN = 40 // ms of work before the event loop gets a turn

export class Engine {
  #wasm
  #options
  #model // as exports.c describes it
  #grid // patches of its input, [rows, columns]
  #labels = null
  #tail = Promise.resolve() // the last call in the queue
  #naming // labels on their way
  #first // the answer for the picture that is computed while the file arrives
  #loaded = false
  #going = false // whether that is being computed, and does not wait for the file
  #wake // ends its waiting
  #disposed = false
  #calls = 0
  #probes = new Map() // number -> address
  #probeCount = 0 // ever opened
  #turn = 0 // when the event loop had its last turn
  info

  // source: as openSource() makes it. options: as vit.mjs has checked them.
  // first: what snapshot() made of a picture to classify while the file arrives; call('first') brings the answer.
  static async open(source, options, { signal, onProgress, first }) {
    const opening = Wasm.open(options)
    opening.catch(() => {}) // it is awaited, but maybe later
    const engine = new Engine()
    engine.#options = options
    try {
      const onPiece = (wasm) => engine.#advance(wasm, first, signal)
      await loadSource(source, opening, { signal, onProgress, onPiece, sha256: options.sha256 })
      await engine.#finish(signal)
      throwIfCancelled(signal)
      source.end()
      return engine
    } catch (error) {
      engine.#disposed = true
      engine.#wake?.()
      engine.#tail.then(() => opening).then((wasm) => wasm.close()).catch(() => {})
      await source.end(error)
      throw error
    }
  }

  // More of the file is there. Once its header is, all is made ready that needs no weights. Returns whether the first picture
  // wants a turn.
  #advance(wasm, first, signal) {
    if (!this.#wasm && wasm.hasModel) {
      this.#wasm = wasm
      this.#turn = performance.now()
      const { size = [0, 0], cropPct = 0 } = this.#options // 0: as the model says
      wasm.setRules(...size, cropPct)
      this.#model = wasm.describe()
      const { classes, labelSet, input } = this.#model
      if (classes && wasm.label(0) === undefined && labelSet === 'imagenet-1k') this.#naming = readLabels()
      wasm.session(input.height, input.width, 1)
      this.#grid = wasm.describeSession().grid
      if (first) {
        this.#going = true
        this.#first = this.call('classify', [first], { topK: 5, names: ['first'] }, signal)
        this.#first.catch(() => {}).then(() => (this.#going = false)) // whoever asks for it will see
      }
    }
    this.#wake?.()
    return this.#going
  }

  async #finish(signal) {
    const wasm = this.#wasm
    const labels = await unlessCancelled(this.#naming, signal)
    this.#model = wasm.describe() // with the warnings
    const { classes } = this.#model
    if (labels?.length === classes) wasm.setLabels(labels)
    if (classes && wasm.label(0) !== undefined) this.#labels = Array.from({ length: classes }, (_, i) => wasm.label(i))
    this.#tell({ decode: 0, resize: 0, forward: 0, head: 0 })
    this.#loaded = true
    this.#wake?.()
  }

  // Waits until more of the file is there.
  async #more(signal) {
    this.#check(signal)
    this.#going = false
    await new Promise((resolve) => {
      this.#wake = () => {
        this.#wake = undefined
        this.#going = true
        resolve()
      }
    })
    this.#check(signal)
  }

  // last: milliseconds of the last call.
  #tell(last) {
    const wasm = this.#wasm
    const { architecture, network, parameters, layers, heads, classes, decoder, knownScore, weights, input, warnings } = this.#model
    const { kernels, threads, bytes } = wasm.describeSession()
    this.info = {
      architecture, network, parameters, layers, heads, classes, decoder, labels: this.#labels, knownScore, input: { ...input, grid: this.#grid }, compute: this.#options.compute, kernels, threads, isolated,
      memory: { weights, activations: bytes, wasm: wasm.bytes }, last,
      warnings: Array.from({ length: warnings }, (_, i) => wasm.warning(i))
    }
  }

  // method: 'classify', 'logits', 'features', 'attention', 'distance' or 'predictMasked'; images: what snapshot() made of them; options: names has
  // theirs. An answer for each image.
  // Or 'inspect' or 'probe', without images: one answer.
  call(method, images, options, signal) {
    if (method === 'first') return this.#first
    const answer = this.#tail.then(() => this.#answer(method, images, options, signal))
    this.#tail = answer.catch(() => {}).then(() => {
      images.forEach((image) => image.close?.())
      if (images.length) this.#tune()
    })
    return answer
  }

  // After the first call, once its answer is out, and after some more: by then the host has compiled the kernels for good.
  #tune() {
    if ([1, 2, 4, 8].includes(++this.#calls) && !this.#disposed) this.#wasm.tune()
  }

  // Frees everything, as soon as a running call has seen it. Brings what Wasm's close() says.
  close() {
    this.#disposed = true
    this.#tail = this.#tail.then(() => {
      for (const address of this.#probes.values()) this.#wasm.closeProbe(address)
      return this.#wasm.close()
    })
    this.#tail.catch(() => {}) // an engine that crashed may do so again: dispose() does not wait for it
    return this.#tail
  }

  #check(signal) {
    if (this.#disposed) throw new VitError('disposed', 'this ViT was disposed')
    throwIfCancelled(signal)
  }

  // Lets the event loop turn where that is due, so that cancelling is seen.
  async #breathe(signal) {
    if (performance.now() - this.#turn < TURN) return
    await breathe()
    this.#turn = performance.now()
    this.#check(signal)
  }

  async #answer(method, images, options, signal) {
    this.#check(signal)
    if (method === 'probe') return [this.#probe(options)]
    if (method === 'inspect') return [await this.#inspect(options, signal)]
    if ((method === 'classify' || method === 'logits') && !this.#model.classes)
      throw new VitError('unsupported', `${method}: ${this.#model.architecture || 'the model'} has no head; features() works`)
    const look = method === 'attention' || method === 'distance'
    if (look && !this.#model.layers) throw new VitError('argument', `${method}: this network has no attention`)
    if (method === 'predictMasked' && this.#model.decoder === 'none')
      throw new VitError('unsupported', `predictMasked: ${this.#model.architecture || 'the model'} predicts no hidden patches; 'vit pretrain' makes models that do, and ViT-MAE and SimMIM are such`)
    const last = { decode: 0, resize: 0, forward: 0, head: 0 }
    const answers = []
    if (method === 'predictMasked') {
      for (const [i, image] of images.entries()) answers.push(await this.#predict(image, options.names[i], options, signal, last))
      this.#tell(last)
      return answers
    }
    for (let begin = 0; begin < images.length; begin = answers.length) {
      const [height, width, count] = this.#batch(images, begin, look ? 1 : BATCH)
      this.#wasm.session(height, width, count, look)
      for (let i = 0; i < count; i++) {
        await this.#input(i, images[begin + i], options.names[begin + i], last)
        this.#check(signal)
        await this.#breathe(signal)
      }
      const distances = []
      await this.#forward(signal, this.#watch(method, options, distances))
      while (!this.#loaded) await this.#more(signal)
      const { forward, head } = this.#wasm.times()
      last.forward += forward
      last.head += head
      for (let i = 0; i < count; i++) answers.push(method === 'distance' ? distances : this.#result(method, i, options))
    }
    this.#tell(last)
    return answers
  }

  // Images from begin on that run at once, at most so many: [height, width, count].
  #batch(images, begin, most) {
    const size = (image) => (isPixels(image) ? image : this.#model.input)
    const { height, width } = size(images[begin])
    let end = begin + 1
    while (end < images.length && end - begin < most && size(images[end]).height === height && size(images[end]).width === width) end++
    return [height, width, end - begin]
  }

  // whole: the picture is not cropped, and stays.
  async #input(index, image, name, last, whole) {
    const wasm = this.#wasm
    if (isPixels(image)) {
      wasm.setInput(index, image, name)
      if (whole) wasm.pictureOfInput()
      return
    }
    const start = performance.now()
    await readImage(wasm, image, name, this.#options.decode)
    const decoded = performance.now()
    if (whole) wasm.squeeze()
    else wasm.preprocess(index)
    last.decode += decoded - start
    last.resize += performance.now() - decoded
  }

  // What is called after each stage, and brings true where the rest of the pass need not be run. distances: gets each layer's.
  #watch(method, options, distances) {
    const wasm = this.#wasm
    const { layers, heads } = this.#model
    if (method === 'attention') wasm.followAttention(METHODS.indexOf(options.method), options.layer, options.head)
    if (method === 'attention') return () => wasm.hasAttention
    if (method !== 'distance') return () => false
    return () => {
      const layer = wasm.distance(heads, options.renormalize)
      if (layer) distances.push(layer)
      return distances.length === layers
    }
  }

  async #forward(signal, watch) {
    const wasm = this.#wasm
    wasm.restart()
    for (let more; (more = wasm.advance()) && !(more > 0 && watch()); ) await (more > 0 ? this.#breathe(signal) : this.#more(signal))
  }

  // What is predicted of hidden patches of one image.
  async #predict(image, name, { ratio, mask, seed, size, raw }, signal, last) {
    const wasm = this.#wasm
    const { input, decoder } = this.#model
    const [height, width] = isPixels(image) ? [image.height, image.width] : (size ?? [input.height, input.width])
    wasm.session(height, width, 1, false, true)
    const { grid } = wasm.describeSession()
    const count = grid[0] * grid[1]
    if (mask && mask.length !== count)
      throw new VitError('argument', `predictMasked: mask has ${mask.length} values, expected ${count}: ${name} has ${grid[0]} x ${grid[1]} patches`)
    try {
      await this.#input(0, image, name, last, true)
      this.#check(signal)
      await this.#breathe(signal)
      const hidden = wasm.hide(count, mask, ratio ?? (decoder === 'mae' ? 0.75 : 0.5), seed)
      await this.#forward(signal, () => false)
      last.forward += wasm.times().forward
      const start = performance.now()
      const answer = { grid, mask: hidden, ...wasm.colors(count) }
      if (raw) answer.raw = wasm.fill(false)
      answer.image = wasm.fill(true)
      last.head += performance.now() - start
      return answer
    } finally {
      wasm.closePicture()
    }
  }

  #attention({ query }) {
    const { grid } = this.#wasm.describeSession()
    const count = grid[0] * grid[1]
    const queries = query === 'all' ? Array.from({ length: count }, (_, i) => i) : [QUERIES[query] ?? query ?? -1]
    return { grid, values: this.#wasm.attention(queries, count) }
  }

  async #inspect({ what, count, size }, signal) {
    const wasm = this.#wasm
    if (what === 'positions') {
      const { height, width } = this.#model.input
      wasm.session(...(size ?? [height, width]), 1)
      const { grid } = wasm.describeSession()
      const patches = grid[0] * grid[1]
      const similarity = allocate(Float32Array, patches * patches)
      for (let row = 0; row < patches; row += ROWS) {
        similarity.set(wasm.positions(row, Math.min(row + ROWS, patches), patches), row * patches)
        await this.#breathe(signal)
      }
      return { grid, similarity }
    }
    const [filters, height, width] = wasm.filterShape()
    count ??= Math.min(28, filters, 3 * height * width)
    return { filters, shape: [3, height, width], ...wasm.filters(count, [filters, height, width]) }
  }

  // What a probe is asked, in its own words: probe.mjs. probe: its number.
  #probe({ op, probe, pool, l2, name, bytes, examples, which, features, neighbours, topK }) {
    const wasm = this.#wasm
    if (op === 'open' || op === 'decode') {
      const opened = op === 'open' ? wasm.openProbe(pool) : wasm.decodeProbe(name, bytes)
      this.#probes.set(++this.#probeCount, opened.probe)
      return { ...wasm.describeProbe(opened.probe), pool: opened.pool, probe: this.#probeCount }
    }
    const address = this.#probes.get(probe)
    if (op === 'encode') return wasm.encodeProbe(address)
    if (op === 'close') {
      if (this.#probes.delete(probe)) wasm.closeProbe(address)
      return {}
    }
    if (op === 'score') {
      const { classes } = wasm.describeProbe(address)
      const ofOne = (scores) => classes.map(({ label }, index) => ({ index, label, score: scores[index] })).sort((a, b) => b.score - a.score).slice(0, topK)
      return features.map((one) => ofOne(wasm.scores(address, one, neighbours, classes.length)))
    }
    const changed = wasm.copyProbe(address) // a change that cannot be made, or be fitted, is none
    try {
      let ids
      if (op === 'add') ids = this.#addExamples(changed, examples)
      else if (typeof which === 'string') wasm.removeClass(changed, which)
      else wasm.removeExample(changed, which)
      wasm.fitProbe(changed, l2)
      const state = wasm.describeProbe(changed)
      this.#probes.set(probe, changed)
      wasm.closeProbe(address)
      return { ids, ...state }
    } catch (error) {
      wasm.closeProbe(changed)
      throw error
    }
  }

  // Brings their numbers.
  #addExamples(probe, examples) {
    const { width } = this.#wasm.describeProbe(probe)
    return examples.map(({ label, features }, i) => {
      if (features.length !== width) throw new VitError('argument', `example ${i}: has ${features.length} features, this model's are ${width}`)
      return this.#wasm.addExample(probe, label, features)
    })
  }

  #result(method, index, options) {
    if (method === 'attention') return this.#attention(options)
    const { topK, pool } = options
    const { classes, width, features } = this.#model
    if (method === 'logits') return this.#wasm.logits(index, classes)
    if (method === 'features') return this.#wasm.features(index, pool === 'head' ? features : width, pool)
    return this.#wasm.top(index, Math.min(topK, classes)).map(({ index, score }) => ({ index, label: this.#labels?.[index], score }))
  }
}

// The names of ImageNet's classes stand beside this file. A model answers with indices where they cannot be had.
async function readLabels() {
  const url = new URL('./imagenet_labels.json', import.meta.url)
  try {
    return files ? JSON.parse(await files.readFile(url, 'utf8')) : await (await fetch(url, { signal: AbortSignal.timeout(PATIENCE) })).json()
  } catch {
    return null
  }
}
