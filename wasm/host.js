// The few things in which hosts differ.

// Node's own modules are named through a variable, so that bundlers for browsers leave them alone.
const load = (name) => import(/* webpackIgnore: true */ /* @vite-ignore */ name)
export const isNode = typeof process === 'object' && !!process.versions?.node
export const node = {
  fs: () => load('node:fs'),
  url: () => load('node:url'),
  os: () => load('node:os'),
  workers: () => load('node:worker_threads')
}

// Threads need memory that can be shared: everywhere in Node, and on pages that are cross-origin isolated.
export const isolated = globalThis.crossOriginIsolated ?? typeof SharedArrayBuffer === 'function'

// Workers cannot be started from another origin: a page that imports us from elsewhere runs us in place, on one thread.
export const foreign = !isNode && !!globalThis.location && new URL(import.meta.url).origin !== location.origin

export const coreCount = async () => globalThis.navigator?.hardwareConcurrency ?? (isNode ? (await node.os()).availableParallelism() : 1)

export const isPage = typeof document === 'object'

// Lets the event loop turn. setTimeout would wait 4 ms. A browser sees that a timer is due when it takes up a message, and
// that message still goes first: after a second one the timer has run.
const turn = globalThis.setImmediate ? () => new Promise((done) => setImmediate(done)) : turnByMessage()

function turnByMessage() {
  const { port1, port2 } = new MessageChannel()
  const waiting = []
  port1.onmessage = () => waiting.shift()()
  return () =>
    new Promise((done) => {
      waiting.push(done)
      port2.postMessage(0)
    })
}

export async function breathe() {
  await turn()
  await turn()
}

// A worker in which a helper thread of an engine runs, as thread.js reads it from the message. What fails in it fails
// alone: the others do its share.
export async function startThread(message) {
  let worker
  if (isNode) {
    const { Worker: NodeWorker } = await node.workers()
    worker = new NodeWorker(new URL('./thread.js', import.meta.url))
    worker.on('error', () => {})
    worker.unref()
  } else {
    worker = new Worker(new URL('./thread.js', import.meta.url), { type: 'module', name: 'vit-thread' })
    worker.onerror = (event) => event.preventDefault()
  }
  worker.postMessage(message)
  return worker
}
