// The engine behind messages. In: { id, open: [source, options, first] }, { id, call: [method, images, options] },
// { id, cancel }, { id, chunk }, { module }. Out: { id, progress }, { id, pull } and { id, thread } while opening, and once for each id
// { id, answer, info } or { id, error }.

import { asVitError } from './errors.mjs'
import { Engine } from './engine.mjs'

export function serve(port) {
  const running = new Map() // id -> AbortController
  let engine
  let onChunk
  let onModule
  const module = new Promise((resolve) => (onModule = resolve))

  // A stream stays with the page, which posts its chunks as they are asked for.
  async function* pull(id) {
    for (;;) {
      const chunk = await new Promise((resolve) => {
        onChunk = resolve
        port.postMessage({ id, pull: true })
      })
      if (chunk === null) return
      yield chunk
      chunk.buffer?.transfer?.(0) // frees it now
    }
  }

  async function open(id, source, options, first, signal) {
    const { weights } = source
    if (weights.remote) weights.chunks = pull(id)
    const begin = (thread) => port.postMessage({ id, thread })
    const onProgress = (progress) => port.postMessage({ id, progress })
    engine = await Engine.open(source, { ...options, module, begin }, { signal, onProgress, first })
  }

  port.onmessageerror = () => {
    throw new Error('a message cannot be read')
  }
  port.onmessage = async ({ data }) => {
    const { id } = data
    if (data.module) return onModule(data.module)
    if ('chunk' in data) return onChunk(data.chunk)
    if (data.cancel) return running.get(id)?.abort()
    const controller = new AbortController()
    running.set(id, controller)
    try {
      if (data.open) {
        await open(id, ...data.open, controller.signal)
        port.postMessage({ id, info: engine.info })
      } else {
        const answer = await engine.call(...data.call, controller.signal)
        const { labels, ...info } = engine.info // the page has the labels
        port.postMessage({ id, answer, info }, answer.flatMap((one) => one.buffer ?? []))
      }
    } catch (error) {
      const { code, message } = asVitError(error, controller.signal)
      port.postMessage({ id, error: { code, message } })
    } finally {
      running.delete(id)
    }
  }
}
