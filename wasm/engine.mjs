// The engine, in place: one model, calls answered one after another.

import { VitError, throwIfCancelled } from './errors.mjs'
import { breathe, files, isolated } from './host.mjs'
import { isPixels, readImage } from './image.mjs'
import { loadSource } from './load.mjs'
import { Wasm } from './module.mjs'

const BATCH = 8 // images that run at once; more run one batch after another
const TURN = 40 // ms of work before the event loop gets a turn

export class Engine {
  #wasm
  #options
  #model // as exports.c describes it
  #labels = null
  #tail = Promise.resolve() // the last call in the queue
  #naming // labels on their way
  #first // the answer for the picture that is computed while the file arrives
  #loaded = false
  #going = false // whether that is being computed, and does not wait for the file
  #wake // ends its waiting
  #disposed = false
  #calls = 0
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
      await engine.#finish()
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
      if (first) {
        this.#going = true
        this.#first = this.call('classify', [first], { topK: 5 }, signal)
        this.#first.catch(() => {}).then(() => (this.#going = false)) // whoever asks for it will see
      }
    }
    this.#wake?.()
    return this.#going
  }

  async #finish() {
    const wasm = this.#wasm
    const labels = await this.#naming
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
    const { architecture, parameters, weights, input, warnings } = this.#model
    const { kernels, threads, bytes } = wasm.describeSession()
    this.info = {
      architecture, parameters, labels: this.#labels, input, compute: this.#options.compute, kernels, threads, isolated,
      memory: { weights, activations: bytes, wasm: wasm.bytes }, last,
      warnings: Array.from({ length: warnings }, (_, i) => wasm.warning(i))
    }
  }

  // method: 'classify', 'logits' or 'features'; images: what snapshot() made of them. An answer for each image.
  call(method, images, options, signal) {
    if (method === 'first') return this.#first
    const answer = this.#tail.then(() => this.#answer(method, images, options, signal))
    this.#tail = answer.catch(() => {}).then(() => {
      images.forEach((image) => image.close?.())
      this.#tune()
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
    this.#tail = this.#tail.then(() => this.#wasm.close())
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
    if (method !== 'features' && !this.#model.classes)
      throw new VitError('unsupported', `${method}: ${this.#model.architecture || 'the model'} has no head; features() works`)
    const last = { decode: 0, resize: 0, forward: 0, head: 0 }
    const answers = []
    for (let begin = 0; begin < images.length; begin = answers.length) {
      const [height, width, count] = this.#batch(images, begin)
      this.#wasm.session(height, width, count)
      for (let i = 0; i < count; i++) {
        const name = images.length > 1 ? `image ${begin + i}` : 'image'
        await this.#input(i, images[begin + i], name, last)
        this.#check(signal)
        await this.#breathe(signal)
      }
      await this.#forward(signal)
      while (!this.#loaded) await this.#more(signal)
      const { forward, head } = this.#wasm.times()
      last.forward += forward
      last.head += head
      for (let i = 0; i < count; i++) answers.push(this.#result(method, i, options))
    }
    this.#tell(last)
    return answers
  }

  // Images from begin on that run at once: [height, width, count].
  #batch(images, begin) {
    const size = (image) => (isPixels(image) ? image : this.#model.input)
    const { height, width } = size(images[begin])
    let end = begin + 1
    while (end < images.length && end - begin < BATCH && size(images[end]).height === height && size(images[end]).width === width) end++
    return [height, width, end - begin]
  }

  async #input(index, image, name, last) {
    const wasm = this.#wasm
    if (isPixels(image)) return wasm.setInput(index, image.pixels, image.layout === 'nchw')
    const start = performance.now()
    await readImage(wasm, image, name, this.#options.decode)
    const decoded = performance.now()
    wasm.preprocess(index)
    last.decode += decoded - start
    last.resize += performance.now() - decoded
  }

  async #forward(signal) {
    this.#wasm.restart()
    for (let more; (more = this.#wasm.advance()); ) await (more > 0 ? this.#breathe(signal) : this.#more(signal))
  }

  #result(method, index, { topK, pool }) {
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
    return files ? JSON.parse(await files.readFile(url, 'utf8')) : await (await fetch(url)).json()
  } catch {
    return null
  }
}
