// The engine behind messages. In: { first }, { id, open: options }, { module }, { head }, { file, part }, { id, call: [method, images,
// options] }, { id, cancel }. Out: { id, progress }, { id, pull } and { id, thread } while opening, and once for each id
// { id, answer, info } or { id, error }.

import { asVitError } from './errors.mjs'
import { Engine } from './engine.mjs'
import { training } from './training.mjs'

const AHEAD = 3 // parts that are asked for before they are needed

export function serve(port) {
  const running = new Map() // id -> AbortController
  const arrived = new Map() // file -> { parts, wake }
  let engine, first, onModule, onHead
  const module = new Promise((resolve) => (onModule = resolve))
  const head = new Promise((resolve) => (onHead = resolve))

  // The page reads the weights and posts them part by part, as openSource() makes them. Buffers go back to be filled again.
  async function* pull(id, file) {
    const ask = (buffer) => port.postMessage({ id, pull: [file, buffer] }, buffer ? [buffer] : [])
    const here = { parts: [] }
    arrived.set(file, here)
    for (let i = 0; i < AHEAD; i++) ask()
    for (;;) {
      if (!here.parts.length) await new Promise((resolve) => (here.wake = resolve))
      const part = here.parts.shift()
      if (!part) return
      yield part
      ask(part.buffer)
    }
  }

  async function open(id, options, signal) {
    const begin = (thread) => port.postMessage({ id, thread })
    const onProgress = (progress) => port.postMessage({ id, progress })
    const source = { head, open: (file) => pull(id, file), end() {} }
    const Opened = options.modules ? (await training()).TrainingEngine : Engine
    engine = await Opened.open(source, { ...options, module, begin }, { signal, onProgress, first })
    first = undefined
  }

  function onPart({ file, part }) {
    const { parts, wake } = arrived.get(file)
    parts.push(part)
    wake?.()
  }

  port.onmessageerror = () => {
    throw new Error('a message cannot be read')
  }
  port.onmessage = async ({ data }) => {
    const { id } = data
    if (data.first) return (first = data.first)
    if (data.module) return onModule(data.module)
    if (data.head) return onHead(data.head)
    if ('part' in data) return onPart(data)
    if (data.cancel) return running.get(id)?.abort()
    const controller = new AbortController()
    running.set(id, controller)
    try {
      if (data.open) {
        await open(id, data.open, controller.signal)
        port.postMessage({ id, info: engine.info })
      } else {
        const answer = await engine.call(...data.call, controller.signal)
        const { labels, ...info } = engine.info // the page has the labels
        port.postMessage({ id, answer, info }, answer.flatMap((one) => [one, one.image?.data, one.raw?.data].flatMap((data) => data?.buffer ?? [])))
      }
    } catch (error) {
      const { code, message } = asVitError(error, controller.signal)
      port.postMessage({ id, error: { code, message } })
    } finally {
      running.delete(id)
    }
  }
}
