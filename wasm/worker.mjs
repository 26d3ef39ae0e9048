// The engine behind messages. In: { id, open: [options, first] }, { module }, { configs }, { part }, { id, call: [method, images,
// options] }, { id, cancel }. Out: { id, progress }, { id, pull } and { id, thread } while opening, and once for each id
// { id, answer, info } or { id, error }.

import { asVitError } from './errors.mjs'
import { Engine } from './engine.mjs'

const AHEAD = 3 // parts that are asked for before they are needed

export function serve(port) {
  const running = new Map() // id -> AbortController
  const parts = []
  let engine, onModule, onConfigs, onPart
  const module = new Promise((resolve) => (onModule = resolve))
  const configs = new Promise((resolve) => (onConfigs = resolve))

  // The page reads the weights and posts them part by part, as openSource() makes them. Buffers go back to be filled again.
  async function* pull(id) {
    const ask = (buffer) => port.postMessage({ id, pull: [buffer] }, buffer ? [buffer] : [])
    for (let i = 0; i < AHEAD; i++) ask()
    for (;;) {
      if (!parts.length) await new Promise((resolve) => (onPart = resolve))
      const part = parts.shift()
      if (!part) return
      yield part
      ask(part.buffer)
    }
  }

  async function open(id, options, first, signal) {
    const begin = (thread) => port.postMessage({ id, thread })
    const onProgress = (progress) => port.postMessage({ id, progress })
    engine = await Engine.open({ configs, weights: pull(id), cancel() {} }, { ...options, module, begin }, { signal, onProgress, first })
  }

  port.onmessageerror = () => {
    throw new Error('a message cannot be read')
  }
  port.onmessage = async ({ data }) => {
    const { id } = data
    if (data.module) return onModule(data.module)
    if (data.configs) return onConfigs(data.configs)
    if ('part' in data) return parts.push(data.part), onPart?.()
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
