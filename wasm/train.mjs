// Training: dist/vit-train.mjs, which training.mjs fetches. The Trainer is what pages hold; a TrainingEngine has the module and
// stands where an Engine does: in place, or in a worker behind a Client.

const OPTIMIZERS = ['sgd', 'adam', 'adamw', 'adam-l2'] // in the order of exports_train.c
const SCHEDULES = ['constant', 'linear', 'cosine'] // of vit_train.h
const TYPES = ['f32', 'f16', 'bf16', undefined, 'q8_0', 'q4_0'] // of vit.h

const isCount = (value) => Number.isInteger(value) && value > 0 && value < 2 ** 31
const isLabel = (label) => typeof label === 'string' && label !== '' && !/[\n\0]/.test(label)
const isOneOf = (list) => [list.map((one) => `'${one}'`).join(', ').replace(/, (?=[^,]*$)/, ' or '), (value) => list.includes(value)]
const between = (least, most) => [`a number from ${least} to ${most}`, (value) => typeof value === 'number' && value >= least && value <= most]

// What each option must be, in words and as a test, as in options.mjs.
const TRAIN = (LOAD) => ({
  classes: ['an array of different texts of one line', (all) => Array.isArray(all) && all.length > 0 && all.every(isLabel) && new Set(all).size === all.length],
  layers: ["'all', 'head' or a whole number above 0", (layers) => layers === 'all' || layers === 'head' || isCount(layers)],
  optimizer: isOneOf(OPTIMIZERS),
  rate: between(0, 1e6),
  steps: ['a whole number above 0', isCount],
  warmup: ['a whole number', (count) => count === 0 || isCount(count)],
  schedule: isOneOf(SCHEDULES),
  batch: ['a whole number from 1 to 65536', (count) => isCount(count) && count <= 65536],
  weightDecay: between(0, 1e6),
  decay: isOneOf(['matrices', 'all']),
  clip: between(0, 1e30),
  labelSmoothing: between(0, 1),
  dropout: between(0, 0.999),
  dropPath: between(0, 0.999),
  crop: between(0, 1),
  flip: between(0, 1),
  recompute: ['true or false', (on) => typeof on === 'boolean'],
  seed: ['a whole number', (seed) => seed === 0 || isCount(seed)],
  size: LOAD.size,
  threads: LOAD.threads
})
const SAVE = { type: isOneOf(TYPES.filter(Boolean)) }

export default function define({
  Client, Intake, LOAD, MODULES, VitError, Wasm, argument, asVitError, breathe, checkOptions, isPixels, loadSource, openSource, readImage, show, sides, snapshot,
  throwIfCancelled, unlessCancelled
}) {
  class TrainingEngine {
    #wasm
    #options
    #batch
    #tail = Promise.resolve() // the last call in the queue
    #disposed = false
    #steps = 0
    info

    static async open(source, options, { signal }) {
      const opening = Wasm.open(options)
      opening.catch(() => {}) // it is awaited, but maybe later
      const engine = new TrainingEngine()
      engine.#options = options
      try {
        await loadSource(source, opening, { signal, onPiece() {}, sha256: options.sha256 })
        engine.#wasm = await opening
        engine.#prepare(options)
        throwIfCancelled(signal)
        source.end()
        return engine
      } catch (error) {
        opening.then((wasm) => wasm.close()).catch(() => {})
        await source.end(error)
        throw error
      }
    }

    #prepare({ labels, size = [0, 0], batch = 1 }) {
      const text = new TextEncoder().encode((labels ?? []).join('\n') + '\0')
      const [classes, height, width] = this.#wasm.train('adapt', text, 3, Int32Array, labels?.length ?? 0, ...size)
      this.info = { classes, height, width }
      this.#open(batch)
    }

    #open(batch) {
      const { settings } = this.#options
      this.#batch = undefined // until there is a trainer
      this.#wasm.train('open', Float64Array.of(batch, this.#wasm.threads, ...settings))
      this.#batch = batch
    }

    call(method, images, options, signal) {
      const answer = this.#tail.then(() => {
        this.#check(signal)
        return method === 'step' ? this.#step(images, options, signal) : this.#wasm.encodeModel(TYPES.indexOf(options.type))
      })
      this.#tail = answer.catch(() => {}).then(() => images.forEach((image) => image.close?.()))
      return answer.then((one) => [one])
    }

    close() {
      this.#disposed = true
      this.#tail = this.#tail.then(() => this.#wasm.close())
      this.#tail.catch(() => {})
      return this.#tail
    }

    #check(signal) {
      if (this.#disposed) throw new VitError('disposed', 'this trainer was disposed')
      throwIfCancelled(signal)
    }

    async #step(images, { labels }, signal) {
      const start = performance.now()
      this.#fit(images.length)
      for (const [i, image] of images.entries()) {
        await this.#input(i, image)
        await breathe() // so that cancelling is seen
        this.#check(signal)
      }
      const [loss, rate, right, steps] = this.#wasm.train('step', Int32Array.from(labels), 4)
      this.#steps = steps
      return { loss, rate, accuracy: right / images.length, steps, imagesPerSecond: (images.length / (performance.now() - start)) * 1e3 }
    }

    // Before the first step the trainer may be made anew for another batch, where none was asked for.
    #fit(count) {
      if (count === this.#batch) return
      if (this.#options.batch || this.#steps)
        throw new VitError('argument', `step: a batch of ${this.#batch} pictures is expected, ${this.#options.batch ? 'as the option batch says' : 'as in the first step'}; found ${count}`)
      this.#open(count)
    }

    async #input(index, image) {
      const wasm = this.#wasm
      if (!isPixels(image)) {
        await readImage(wasm, image, `image ${index}`, this.#options.decode)
        return wasm.preprocess(index)
      }
      const { height, width } = this.info
      if (image.height !== height || image.width !== width)
        throw new VitError('argument', `step: image ${index}: normalised pixels of ${image.height}x${image.width}, the network is trained on ${height}x${width}`)
      wasm.setInput(index, image, `image ${index}`)
    }
  }

  class Trainer {
    #engine
    #intake = new Intake()
    #disposed = false
    #labels // those of #class: the page may do with `labels` what it likes
    labels
    steps = 0

    // loaded: what ViT.load was told.
    static async open({ source, cache, worker, ...loaded }, labels, options) {
      const known = TRAIN(LOAD)
      const { signal, threads = loaded.threads, classes, size, layers = 'all', batch, ...o } = checkOptions('train', options, known)
      const { optimizer = 'sgd', rate = optimizer === 'sgd' ? 0.01 : 1e-3, steps, warmup = 0, decay = 'matrices' } = o
      const schedule = o.schedule ?? (steps ? 'cosine' : 'constant')
      if (schedule !== 'constant' && !steps) throw argument(`train: schedule '${schedule}' needs the option steps, where it ends`)
      if (size && !classes) throw argument('train: another size needs the option classes: only models with a new head are taken to it')
      if (source.weights.stream) throw new VitError('unsupported', 'train: the model came as a stream, which is read only once: load it from a URL, a Blob or bytes')
      if (source.weights.bytes && !source.weights.bytes.length) throw argument('train: the bytes that the model was loaded from are gone: they were transferred')
      const settings = [
        o.recompute ? 1 : 0, o.seed ?? 0, o.labelSmoothing ?? 0, o.dropout ?? 0, o.dropPath ?? 0, OPTIMIZERS.indexOf(optimizer), o.weightDecay ?? 0,
        decay === 'all' ? 1 : 0, o.clip ?? 1, SCHEDULES.indexOf(schedule), rate, warmup, steps ?? 1, layers === 'all' ? -1 : layers === 'head' ? 0 : layers,
        o.crop ?? 0.35, o.flip ?? 0.5
      ]
      const trainer = new Trainer()
      const chosen = { ...loaded, threads, compute: 'f32', modules: MODULES, settings, labels: classes, size: sides(size), batch }
      trainer.#engine = await (worker ? Client : TrainingEngine).open(openSource(source, { signal, cache, limits: loaded.limits }), chosen, { signal, onProgress() {} })
      trainer.#labels = classes ?? (labels && [...labels])
      trainer.labels = trainer.#labels && [...trainer.#labels]
      return trainer
    }

    async step(examples, options) {
      const { signal } = checkOptions('step', options, {})
      if (!Array.isArray(examples) || !examples.length) throw argument(`step: examples are an array of { image, label }, not ${show(examples)}`)
      const list = [...examples]
      const labels = list.map(this.#class)
      const snapshots = list.map(({ image }, i) => snapshot(image, `image ${i}`))
      const answer = await this.#intake.hand(snapshots, signal, (ready) => this.#ask('step', ready, { labels }, signal))
      this.steps = answer.steps
      return answer
    }

    async save(options) {
      const { type = 'f32', signal } = checkOptions('save', options, SAVE)
      return this.#ask('save', [], { type }, signal)
    }

    dispose() {
      if (this.#disposed) return
      this.#disposed = true
      this.#engine.close('this trainer was disposed')
    }

    async #ask(method, images, options, signal) {
      try {
        if (this.#disposed) throw new VitError('disposed', 'this trainer was disposed')
        throwIfCancelled(signal)
        const [answer] = await unlessCancelled(this.#engine.call(method, images, options, signal), signal)
        return answer
      } catch (error) {
        throw asVitError(error, signal)
      }
    }

    // The number of an example's class.
    #class = (example, i) => {
      const { label } = example ?? {}
      const index = typeof label === 'string' ? (this.#labels?.indexOf(label) ?? -1) : label
      const { classes } = this.#engine.info
      if (!Number.isInteger(index) || index < 0 || index >= classes)
        throw argument(`step: the label of example ${i} is ${show(label)}: expected ${this.#labels ? 'one of the classes or ' : ''}a number from 0 to ${classes - 1}`)
      return index
    }
  }
  Trainer.prototype[Symbol.dispose ?? Symbol.for('Symbol.dispose')] = Trainer.prototype.dispose

  return { Trainer, TrainingEngine }
}
