// The engine in a worker, with the same surface as Engine.

import { VitError, cancelled, throwIfCancelled } from './errors.mjs'
import { ENGINE, startThreads, startWorker } from './host.mjs'
import { prepare } from './module.mjs'

const failed = (reason) => new VitError('internal', `the worker failed: ${reason}`)

export class Client {
  #worker // undefined when there is none any more
  #failure // why there is none
  #threads // the engine's: Firefox sometimes blocks a worker for ever that starts workers of its own
  #first // why there is no answer for the first picture
  #pending = new Map() // id -> { resolve, reject, onProgress, source, files }
  #ids = 0
  info

  constructor(threads) {
    const worker = (this.#worker = startWorker(ENGINE))
    const fail = (reason) => worker === this.#worker && this.#fail(failed(reason))
    this.#threads = startThreads(threads, () => fail('a helper thread ended'))
    worker.onmessage = ({ data }) => worker === this.#worker && this.#receive(data)
    worker.onerror = (event) => fail(event.message ?? 'it could not be started')
    worker.onmessageerror = () => fail('what it said cannot be read')
  }

  // source: as openSource() makes it; it is read here, while the worker starts.
  static async open(source, options, { signal, onProgress, first }) {
    let client
    const fail = (error) => client?.#fail(error)
    // Cancelling ends the worker: threads and memory go with it.
    const stop = () => fail(cancelled(signal))
    signal?.addEventListener('abort', stop)
    try {
      const { module, ...chosen } = prepare(options)
      client = new Client(chosen.count - 1)
      client.#handFirst(first)
      module.then((module) => client.#worker?.postMessage({ module }), fail)
      source.head.then((head) => client.#worker?.postMessage({ head }), fail)
      await client.#request(() => ({ open: { ...options, ...chosen } }), { onProgress, source, files: new Map() })
      throwIfCancelled(signal)
      source.end()
      return client
    } catch (error) {
      fail(error)
      await source.end(error)
      throw error
    } finally {
      signal?.removeEventListener('abort', stop)
      first?.close?.() // the worker has a copy
    }
  }

  // One that cannot be handed over is not the load's fault.
  #handFirst(first) {
    try {
      if (first) this.#worker.postMessage({ first: compact(first) })
    } catch (error) {
      this.#first = refusal([first], ['first'], error)
    }
  }

  call(method, images, options, signal) {
    if (method === 'first' && this.#first) return Promise.reject(this.#first)
    const id = this.#ids
    const cancel = () => this.#worker?.postMessage({ id, cancel: true })
    signal?.addEventListener('abort', cancel)
    const refused = (error) => refusal(images, options.names, error)
    return this.#request(() => ({ call: [method, images.map(compact), options] }), {}, images.filter(isBitmap), refused).finally(() => signal?.removeEventListener('abort', cancel))
  }

  close(why) {
    this.#fail(new VitError('disposed', why))
  }

  // Node ends when nothing is awaited any more.
  #hold() {
    if (this.#pending.size) this.#worker.ref?.()
    else this.#worker.unref?.()
  }

  // refused(error): what to say where what message() makes cannot be posted.
  #request(message, extra, transfer = [], refused = handed) {
    if (this.#failure) return Promise.reject(this.#failure)
    return new Promise((resolve, reject) => {
      const id = this.#ids++
      try {
        this.#worker.postMessage({ id, ...message() }, transfer)
      } catch (error) {
        throw refused(error)
      }
      this.#pending.set(id, { resolve, reject, ...extra })
      this.#hold()
    })
  }

  #receive({ id, thread, progress, pull, error, answer, info }) {
    const request = this.#pending.get(id)
    if (thread) return this.#threads[thread.index - 1].postMessage(thread)
    if (progress) return request && this.#report(request, progress)
    if (pull) return request && this.#feed(request, pull)
    if (!request) return
    this.#pending.delete(id)
    this.#hold()
    if (error) return request.reject(new VitError(error.code, error.message))
    this.info = { ...this.info, ...info }
    request.resolve(answer)
  }

  #report({ onProgress }, progress) {
    try {
      onProgress(progress)
    } catch (error) {
      this.#fail(error)
    }
  }

  // Reads and posts as many parts of a file as the worker asks for, one after another: a buffer must be away before the next
  // is read.
  async #feed({ source, files }, [name, buffer]) {
    if (buffer) source.giveBack(buffer)
    if (!files.has(name)) files.set(name, { parts: source.open(name), wanted: 0 })
    const file = files.get(name)
    if (file.wanted++) return // it is going on already
    try {
      for (; file.wanted; file.wanted--) {
        const { value, done } = await file.parts.next()
        const part = done ? null : ArrayBuffer.isView(value) && !source.ours ? value.slice() : value
        this.#worker?.postMessage({ file: name, part }, part?.buffer ? [part.buffer] : [])
      }
    } catch (error) {
      this.#fail(error)
    }
  }

  // Ends the workers for good: every call rejects with this error.
  #fail(error) {
    this.#failure ??= error
    for (const worker of [this.#worker, ...this.#threads.splice(0)]) worker?.terminate()
    this.#worker = undefined
    for (const { reject } of this.#pending.values()) reject(error)
    this.#pending.clear()
  }
}

const isBitmap = (image) => globalThis.ImageBitmap && image instanceof ImageBitmap

const handed = (error) => new VitError('argument', `what was given cannot be handed to the worker: ${error.message}`, { cause: error })

// Names the picture that cannot be posted, with the code that it has in place: bytes that were given away, or a bitmap whose pixels the
// page may not read.
function refusal(images, names, error) {
  for (const [i, image] of images.entries())
    try {
      structuredClone(image)
    } catch (cause) {
      return new VitError(isBitmap(image) ? 'image' : 'argument', `${names[i]}: ${cause.message}`, { cause })
    }
  return handed(error)
}

// A copy that may be given away.
const ownBytes = (view) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength).slice()

// Posting a view posts the whole buffer under it: a part of one is copied out.
const isPart = (view) => ArrayBuffer.isView(view) && view.byteLength < view.buffer.byteLength

function compact(image) {
  if (isPart(image.pixels)) return { ...image, pixels: image.pixels.slice() }
  if (isPart(image.data)) return { ...image, data: ownBytes(image.data) }
  return isPart(image) ? ownBytes(image) : image
}
