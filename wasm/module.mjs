// The WebAssembly modules, and the one file that touches their memory. Views of it are made for each use and never kept:
// memory that grows leaves old views empty or short.

import { VitError, allocate } from './errors.mjs'
import { coreCount, files, hasWorkers, isolated, startThreads } from './host.mjs'

const MODULES = {
  'simd128': new URL('./dist/vit-simd128.wasm', import.meta.url),
  'simd128-mt': new URL('./dist/vit-simd128-mt.wasm', import.meta.url),
  'relaxed': new URL('./dist/vit-relaxed.wasm', import.meta.url),
  'relaxed-mt': new URL('./dist/vit-relaxed-mt.wasm', import.meta.url)
}

// Workers cannot be started from another origin: a page that imports us from elsewhere runs us in place, on one thread. Where
// we came from a bundler may have changed in import.meta.url alone, but not in what is made of it above.
export const foreign = !files && !!globalThis.location && MODULES.relaxed.origin !== location.origin

// A module of one function, () -> v128, with this body.
const validates = (...body) =>
  WebAssembly.validate(new Uint8Array([
    0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0,
    10, body.length + 4, 1, body.length + 2, 0, ...body, 11
  ]))
const SPLAT = [0x41, 0, 0xfd, 0x0f] // i32.const 0, i8x16.splat
const RELAXED_SWIZZLE = [0xfd, 0x80, 0x02]
export const hasRelaxedSimd = () => validates(...SPLAT, ...SPLAT, ...RELAXED_SWIZZLE)
export const POOLS = ['head', 'cls', 'mean']
export const LIMITS = ['fileBytes', 'headerBytes', 'configBytes', 'imagePixels', 'imageSide', 'tensors', 'jsonDepth', 'tokens', 'layers'] // as in vit.h
const PAGES = 32 // 2 MiB at the start, as build.sh links it

// All cores up to 4, half of them up to 8: the other half are often the same cores seen twice.
function chooseThreads(wanted) {
  if (!isolated || foreign || !hasWorkers) return 1
  const cores = coreCount()
  return wanted ?? Math.min(cores, Math.max(4, Math.min(8, cores >> 1)))
}

function chooseKernels(wanted) {
  if (!validates(...SPLAT))
    throw new VitError('unsupported', 'this host has no WebAssembly SIMD (needs Chrome 91, Firefox 89, Safari 16.4 or Node 20.16)')
  const relaxed = hasRelaxedSimd()
  if (wanted?.startsWith('relaxed') && !relaxed)
    throw new VitError('unsupported', `kernels '${wanted}': this host has no relaxed SIMD`)
  return wanted?.split(/[:,]/)[0] ?? (relaxed ? 'relaxed' : 'simd128')
}

// Hosts that cannot reserve 4 GiB of addresses get less room to grow; a moment later others have given theirs back.
async function createMemory(shared) {
  for (let maximum = 65536; ; maximum /= 2) {
    try {
      return new WebAssembly.Memory({ initial: PAGES, maximum, shared })
    } catch (error) {
      if (maximum <= 4096) throw new VitError('out-of-memory', `no memory for the engine: ${error.message}`, { cause: error })
      await new Promise((done) => setTimeout(done, 100))
    }
  }
}

async function load(url) {
  if (files) return WebAssembly.compile(await files.readFile(url))
  const response = await fetch(url)
  if (!response.ok) throw new Error(`${url}: HTTP ${response.status}`)
  // Streams want the right type, which not all servers know.
  if (response.headers.get('content-type') === 'application/wasm') return WebAssembly.compileStreaming(response)
  return WebAssembly.compile(await response.arrayBuffer())
}

const notStarted = (name, error) =>
  new VitError('internal', `the module vit-${name} did not start: ${error.message}`, { cause: error })

// What can be begun before there is a worker for the engine: { count, name, module }, of the threads, of the module, and the
// promise of it. threads: how many, or undefined for the default. kernels: 'simd128', 'relaxed', or a table of theirs. modules: for
// training, where they are.
export function prepare({ threads, kernels, modules = MODULES }) {
  const count = chooseThreads(threads)
  const name = chooseKernels(kernels) + (count > 1 ? '-mt' : '')
  const module = load(new URL(modules[name])).catch((error) => Promise.reject(notStarted(name, error)))
  module.catch(() => {}) // it is awaited, but maybe later
  return { count, name, module }
}

// (limit image_pixels), as the engine says it, is the option limits.imagePixels.
const named = (_, name) => `(option limits.${name.replace(/_./g, ([, letter]) => letter.toUpperCase())})`

const encoder = new TextEncoder()
const decoder = new TextDecoder()

export class Wasm {
  #exports
  #memory
  #engine
  #threads // workers
  #int8 // compute with integers
  #raw // weights as they are stored, to train them
  #most // bytes of a picture's file
  #variant // tables inside the module, e.g. 'relaxed:6x16,dot'; '' for the best

  // options: with what prepare() made of them, or it is done here. begin(message): gives a helper thread its message, where
  // they are not started here.
  static async open(options) {
    const { kernels, compute, limits, modules, begin, count, name, module: coming } = 'count' in options ? options : { ...options, ...prepare(options) }
    const wasm = new Wasm()
    wasm.threads = count
    wasm.#int8 = compute === 'int8'
    wasm.#raw = !!modules
    wasm.#most = limits?.fileBytes ?? 8 * 2 ** 30 // as in vit.h
    wasm.#variant = /[:,]/.test(kernels) ? kernels : ''
    wasm.#threads = begin ? [] : startThreads(count - 1)
    try {
      const env = { memory: (wasm.#memory = await createMemory(count > 1)) }
      const module = await coming
      const { exports } = await WebAssembly.instantiate(module, { env: { ...env, now: () => performance.now() } })
      wasm.#exports = exports
      wasm.#engine = exports.vit_js_open(count - 1) >>> 0
      if (!wasm.#engine) throw new VitError('out-of-memory', 'no memory for the engine')
      for (const name in limits) if (limits[name] !== undefined) exports.vit_js_limit(wasm.#engine, LIMITS.indexOf(name), limits[name])
      for (let index = 1; index < count; index++) {
        const message = { module, env, stack: exports.vit_js_stack(wasm.#engine, index - 1), index }
        if (begin) begin(message)
        else wasm.#threads[index - 1].postMessage(message)
      }
      return wasm
    } catch (error) {
      wasm.#threads.forEach((thread) => thread.terminate())
      throw error instanceof VitError ? error : notStarted(name, error)
    }
  }

  // Gives everything back and stops the threads. Returns how many allocations are still held: 0 unless something leaks.
  close() {
    if (!this.#exports) return 0
    try {
      return this.#call('reset')
    } finally {
      this.#threads.forEach((thread) => thread.terminate())
      this.#exports = this.#memory = undefined
    }
  }

  get bytes() {
    return this.#memory.buffer.byteLength
  }

  // ---- Calls

  #call(name, ...values) {
    try {
      return this.#exports['vit_js_' + name](this.#engine, ...values)
    } catch (error) {
      throw new VitError('internal', `the engine crashed in ${name}: ${error.message}`, { cause: error })
    }
  }

  // For functions that return a status.
  #do(name, ...values) {
    const status = this.#call(name, ...values)
    if (status) throw new VitError(this.#text(this.#exports.vit_js_status_name(status)), this.#text(this.#call('error')).replace(/\(limit (\w+)\)/, named))
  }

  #view(Type, pointer, length) {
    return new Type(this.#memory.buffer, pointer >>> 0, length)
  }

  // undefined for NULL. TextDecoder does not take shared memory: slice copies.
  #text(pointer) {
    if (!pointer) return undefined
    const bytes = this.#view(Uint8Array, pointer)
    return decoder.decode(bytes.slice(0, bytes.indexOf(0)))
  }

  // Calls use(pointer) with room for so many bytes, which it has only during the call.
  #room(size, use) {
    const pointer = size < 2 ** 32 && this.#call('alloc', size) >>> 0
    if (!pointer) throw new VitError('out-of-memory', `out of memory: ${size} bytes`)
    try {
      return use(pointer)
    } finally {
      this.#call('free', pointer)
    }
  }

  #lend(bytes, use) {
    return this.#room(bytes.length, (pointer) => {
      this.#view(Uint8Array, pointer, bytes.length).set(bytes)
      return use(pointer, bytes.length)
    })
  }

  #lendText(text, use) {
    return this.#lend(encoder.encode(text + '\0'), use)
  }

  #lendFloats(floats, use) {
    return this.#lend(new Uint8Array(floats.buffer, floats.byteOffset, floats.byteLength), use)
  }

  // What use(pointer) has put where there is room for so many floats.
  #floats(count, use) {
    return this.#room(4 * count, (values) => {
      use(values)
      const floats = allocate(Float32Array, count)
      floats.set(this.#view(Float32Array, values, count))
      return floats
    })
  }

  // ---- Loading: begin, configs, pieces of the weight file, finish

  begin(name) {
    this.#lendText(name, (text) => this.#do('load', text, this.#int8, this.#raw))
  }

  config(name, bytes) {
    this.#lendText(name, (text) => this.#lend(bytes, (data, size) => this.#do('load_config', text, data, size)))
  }

  // Of weights in several files.
  index(name, bytes) {
    this.#lendText(name, (text) => this.#lend(bytes, (data, size) => this.#do('load_index', text, data, size)))
  }

  // The file of which bytes are wanted next, '' for the only one; undefined when all have come.
  wanted() {
    this.#do('load_space')
    const [, , , wanted, file] = this.#engineWords
    return wanted ? (this.#text(file) ?? '') : undefined
  }

  // Copies bytes of the file that is wanted to where the engine keeps them, until another is. Returns how many.
  push(bytes) {
    let at = 0
    for (let from; at < bytes.length; ) {
      this.#do('load_space')
      const [space, room, , wanted, file] = this.#engineWords
      if (wanted && file !== (from ??= file)) break
      const piece = bytes.subarray(at, at + room)
      this.#view(Uint8Array, space, piece.length).set(piece)
      this.#do('load_commit', piece.length)
      at += piece.length
    }
    return at
  }

  get #engineWords() {
    return this.#view(Uint32Array, this.#engine, 5)
  }

  // Whether the file's header has come: all below but the labels works, as far as the weights that are there allow.
  get hasModel() {
    return this.#engineWords[2] > 0
  }

  finish() {
    this.#do('load_finish')
  }

  setLabels(labels) {
    this.#lendText(labels.join('\n'), (lines) => this.#do('set_labels', lines, labels.length))
  }

  // ---- What was loaded

  describe() {
    return JSON.parse(this.#text(this.#call('describe')))
  }

  label(index) {
    return this.#text(this.#call('label', index))
  }

  warning(index) {
    return this.#text(this.#call('warning', index))
  }

  setRules(height, width, cropPct) {
    this.#call('rules', height, width, cropPct)
  }

  // ---- Pictures

  // Before so many bytes are read or copied.
  checkFile(name, bytes) {
    if (bytes > this.#most) throw new VitError('limit', `${name}: ${bytes} bytes, the limit is ${this.#most} (option limits.fileBytes)`)
  }

  decode(name, bytes) {
    this.#lendText(name, (text) => this.#lend(bytes, (data, size) => this.#do('image_decode', text, data, size)))
  }

  // Before so many pixels are anywhere.
  checkSize(width, height) {
    this.#do('image_size', width, height)
  }

  setPixels(rgba, width, height) {
    this.checkSize(width, height)
    this.#lend(rgba, (pixels) => this.#do('image_pixels', pixels, width, height))
  }

  preprocess(index) {
    this.#do('image_preprocess', index)
  }

  // The whole picture into the session's only image. It stays, until it is closed.
  squeeze() {
    this.#do('image_squeeze')
  }

  // A picture of the session's only image.
  pictureOfInput() {
    this.#do('image_of_input')
  }

  // { data, width, height }: RGBA.
  #picture() {
    const [width, height, rgb] = this.#view(Uint32Array, this.#call('image'), 3)
    const from = this.#view(Uint8Array, rgb, 3 * width * height)
    const data = allocate(Uint8ClampedArray, 4 * width * height).fill(255)
    for (let i = 0, at = 0; i < data.length; i += 4) {
      data[i] = from[at++]
      data[i + 1] = from[at++]
      data[i + 2] = from[at++]
    }
    return { data, width, height }
  }

  closePicture() {
    this.#call('image_close')
  }

  // Normalised values, [height,width,3] or [3,height,width], as they are. name: for errors.
  setInput(index, { pixels, height, width, layout }, name) {
    const count = height * width
    if (pixels.length !== 3 * count) // its buffer was given away or resized after the call
      throw new VitError('argument', `${name}: pixels has ${pixels.length} values now, expected 3 x ${width} x ${height}`)
    const input = this.#view(Float32Array, this.#call('input', index), 3 * count)
    if (layout === 'nhwc') return input.set(pixels)
    for (let c = 0; c < 3; c++)
      for (let i = 0; i < count; i++) input[3 * i + c] = pixels[c * count + i]
  }

  // ---- Running

  // capture: whether attention can be read; masked: whether patches can be hidden, and are predicted.
  session(height, width, batch, capture = false, masked = false) {
    this.#lendText(this.#variant, (kernels) => this.#do('session', height, width, batch, this.threads, kernels, capture ? 1 : 0, masked ? 1 : 0))
  }

  describeSession() {
    return JSON.parse(this.#text(this.#call('session_describe')))
  }

  // Lets the session find its fastest kernels, which takes 1 to 3 ms.
  tune() {
    this.#call('tune')
  }

  restart() {
    this.#call('restart')
  }

  // Runs the next stage: 1, or 0 when it was the last; -1 when its weights have not come.
  advance() {
    return this.#call('advance')
  }

  // Milliseconds of the last run.
  times() {
    return { forward: this.#call('time', 0), head: this.#call('time', 1) }
  }

  logits(index, classes) {
    return this.#view(Float32Array, this.#call('logits', index), classes).slice()
  }

  features(index, width, pool) {
    return this.#floats(width, (out) => this.#do('features', index, POOLS.indexOf(pool), out))
  }

  // The k likeliest classes: [{ index, score }].
  top(index, k) {
    return this.#room(8 * k, (out) => {
      const count = this.#call('top', index, k, out)
      const indices = this.#view(Int32Array, out, 2 * count)
      const scores = this.#view(Float32Array, out, 2 * count)
      return Array.from({ length: count }, (_, i) => ({ index: indices[2 * i], score: scores[2 * i + 1] }))
    })
  }

  // ---- Looking inside

  // Of the session's only image, which captures it. method: as exports.c counts them.
  followAttention(method, layer, head) {
    this.#do('attention_open', method, layer, head)
  }

  // After each stage; whether the layer has come that was asked for.
  get hasAttention() {
    return this.#call('attention_follow') > 0
  }

  // The shares of `count` patches in the attention of each query, one after the other.
  attention(queries, count) {
    return this.#floats(queries.length * count, (values) => queries.forEach((query, i) => this.#do('attention_read', query, values + 4 * i * count)))
  }

  // After each stage: how far each of `heads` looks, in pixels; undefined after one that is not attention.
  distance(heads, renormalize) {
    return this.#room(8 * heads, (out) => (this.#call('distance', renormalize, out) < 0 ? undefined : [...this.#view(Float64Array, out, heads)]))
  }

  // [filters, height, width]
  filterShape() {
    return this.#room(12, (shape) => {
      this.#call('filter_shape', shape)
      return [...this.#view(Int32Array, shape, 3)]
    })
  }

  // Principal components [count,3,height,width] of the filters, their strengths [count], the mean [3,height,width]. The engine
  // refuses more than there are.
  filters(count, [filters, height, width]) {
    const length = 3 * height * width
    const most = Math.min(count, filters, length)
    const all = this.#floats(most * (length + 1) + length, (out) => this.#do('filters', count, out, out + 4 * most * length, out + 4 * most * (length + 1)))
    return { components: all.slice(0, most * length), strengths: all.slice(most * length, -length), mean: all.slice(-length) }
  }

  // Cosines of position embeddings, [patches,patches]; of the session's grid.
  // Of patches begin to end with all.
  positions(begin, end, patches) {
    return this.#floats((end - begin) * patches, (out) => this.#do('positions', begin, end, out))
  }

  // ---- Masked prediction, of the session's only image

  // Hides patches of the `count` that there are: mask, or else the share ratio, which seed draws. Brings which, 1 for each.
  hide(count, mask, ratio, seed) {
    return this.#lend(mask ?? new Uint8Array(count), (hidden) => {
      this.#do('hide', hidden, mask ? 1 : 0, ratio, seed)
      return this.#view(Uint8Array, hidden, count).slice()
    })
  }

  // Of each patch: colors [count,3], their 3-bit labels, probabilities.
  colors(count) {
    return this.#room(20 * count, (out) => {
      this.#do('colors', out, out + 12 * count, out + 16 * count)
      return {
        colors: Uint8Array.from(this.#view(Float32Array, out, 3 * count), (value) => Math.fround(value + 0.5)),
        labels: Uint16Array.from(this.#view(Int32Array, out + 12 * count, count)),
        probabilities: this.#view(Float32Array, out + 16 * count, count).slice()
      }
    })
  }

  // The picture with its hidden patches filled in.
  fill(smooth) {
    this.#do('fill', smooth ? 1 : 0)
    return this.#picture()
  }

  // ---- Few-shot: a probe is known by its address

  // What the engine says of a new one: { probe, pool }.
  #opened(use) {
    return this.#room(8, (out) => {
      use(out)
      const [probe, pool] = this.#view(Uint32Array, out, 2)
      return { probe, pool: POOLS[pool] }
    })
  }

  openProbe(pool) {
    return this.#opened((out) => this.#do('probe_open', POOLS.indexOf(pool), out))
  }

  decodeProbe(name, bytes) {
    return this.#opened((out) => this.#lendText(name, (text) => this.#lend(bytes, (data, size) => this.#do('probe_decode', text, data, size, out))))
  }

  copyProbe(probe) {
    return this.#room(4, (out) => {
      this.#do('probe_copy', probe, out)
      return this.#view(Uint32Array, out, 1)[0]
    })
  }

  closeProbe(probe) {
    this.#call('probe_close', probe)
  }

  // The example's number.
  addExample(probe, label, features) {
    return this.#lendText(label, (text) => this.#lendFloats(features, (values) => this.#room(4, (id) => {
      this.#do('probe_add', probe, text, values, id)
      return this.#view(Int32Array, id, 1)[0]
    })))
  }

  removeExample(probe, id) {
    this.#do('probe_remove', probe, id)
  }

  removeClass(probe, label) {
    this.#lendText(label, (text) => this.#do('probe_remove_class', probe, text))
  }

  fitProbe(probe, l2) {
    this.#do('probe_fit', probe, l2)
  }

  describeProbe(probe) {
    return this.#room(40, (out) => {
      this.#call('probe_info', probe, out)
      const [, width, count, examples, , , , , right] = this.#view(Int32Array, out, 10)
      const [l2] = this.#view(Float64Array, out + 24, 1)
      const classes = Array.from({ length: count }, (_, k) => ({ label: this.#text(this.#call('probe_label', probe, k)), examples: this.#call('probe_count', probe, k) }))
      return { width, classes, examples, l2, right }
    })
  }

  // For each of `classes`. neighbours: 0, or how many vote.
  scores(probe, features, neighbours, classes) {
    return this.#lendFloats(features, (values) => this.#floats(classes, (out) => this.#do('probe_score', probe, values, neighbours, out)))
  }

  encodeProbe(probe) {
    return this.#encoded('probe_encode', probe)
  }

  #encoded(name, of) {
    return this.#room(8, (out) => {
      this.#do(name, of, out)
      const [data, size] = this.#view(Uint32Array, out, 2)
      const bytes = this.#view(Uint8Array, data, size).slice()
      this.#call('free', data)
      return bytes
    })
  }

  // ---- Training, of the modules for it: train.mjs

  // What the function of that name makes of these values, and of more that are numbers, as floats of 64 bits or as this type.
  train(name, values, count = 0, Type = Float64Array, ...more) {
    return this.#lend(new Uint8Array(values.buffer), (given) => this.#room(8 * count, (out) => {
      this.#do('train_' + name, given, out, ...more)
      return [...this.#view(Type, out, count)]
    }))
  }

  encodeModel(type) {
    return this.#encoded('train_encode', type)
  }
}
