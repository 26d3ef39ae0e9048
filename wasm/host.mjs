// The few things in which hosts differ.

// Node's own modules, got without an import that bundlers would follow; undefined in browsers.
const builtin = (name) => globalThis.process?.getBuiltinModule?.('node:' + name)
export const files = builtin('fs')?.promises
export const pathToFileURL = builtin('url')?.pathToFileURL
const workers = builtin('worker_threads')
const isNode = !!workers
export const isPage = typeof document === 'object'

// Threads need memory that can be shared: everywhere in Node, and on pages that are cross-origin isolated. And workers, which
// service workers have none of.
export const isolated = globalThis.crossOriginIsolated ?? typeof SharedArrayBuffer === 'function'
export const hasWorkers = isNode || typeof Worker === 'function'

export const coreCount = () => globalThis.navigator?.hardwareConcurrency ?? builtin('os')?.availableParallelism() ?? 1

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

// ---- Workers: each runs the package's one file, index.js, and its name says as what (vit.mjs)

export const ENGINE = 'vit-engine'
export const THREAD = 'vit-thread'
export const role = isNode ? workers.workerData : isPage ? undefined : globalThis.name
export const port = workers?.parentPort ?? globalThis

// Bundlers want to see all of this in one expression.
export function startWorker(name) {
  if (!isNode)
    return name === ENGINE
      ? new Worker(new URL('./index.js', import.meta.url), { type: 'module', name: 'vit-engine' })
      : new Worker(new URL('./index.js', import.meta.url), { type: 'module', name: 'vit-thread' })
  const worker = new workers.Worker(new URL('./index.js', import.meta.url), { workerData: name })
  // As browsers say it.
  worker.on('message', (data) => worker.onmessage({ data }))
  worker.on('messageerror', () => worker.onmessageerror())
  worker.on('error', (error) => worker.onerror(error))
  worker.on('exit', (code) => worker.onerror({ message: `it ended with code ${code}` }))
  return worker
}

// Workers for the helper threads of an engine, which wait for a message (thread.mjs). One that cannot begin is not missed: the
// others do its share. onEnd is called where one ends that had begun, maybe with work in its hands.
export function startThreads(count, onEnd = () => {}) {
  return Array.from({ length: count }, () => {
    const worker = startWorker(THREAD)
    let begun = false
    worker.onmessage = () => (begun = true)
    worker.onmessageerror = () => {}
    worker.onerror = (event) => {
      event.preventDefault?.()
      if (begun) onEnd()
    }
    worker.unref?.()
    return worker
  })
}
