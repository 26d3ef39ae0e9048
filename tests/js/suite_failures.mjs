// The part of the suite about what fails besides the input: workers, hosts, callbacks, files.

import { assert, describe, equal, rejects, test } from './harness.mjs'

const TIMM = 'golden/forward/timm_cls/'
const inNode = typeof process === 'object'

// What it uses of the suite's own helpers.
export function defineFailures({ ViT, url, load, using, some, pause, options, has }) {
  describe('failures', () => {
    test('what onProgress throws is what load rejects with', async () => {
      const thrown = new RangeError('no bar to draw')
      for (const phase of ['config', 'weights']) {
        const onProgress = (progress) => {
          if (progress.phase === phase) throw thrown
        }
        const error = await load(url(TIMM), { onProgress }).then(() => null, (e) => e)
        assert(error === thrown, `${phase}: ${error}`)
      }
    })

    if (options.worker)
      test('a worker that ends rejects its calls, and all later ones', async () => {
        const { vit, end } = await loadWithWorker()
        const image = some(640, 640)
        const calls = [vit.logits(image), vit.classify(image)]
        await pause()
        end()
        for (const call of calls) await rejects(call, 'internal', 'the worker failed')
        await rejects(vit.logits(image), 'internal', 'the worker failed')
        equal(vit.info.architecture, 'vit_tiny_patch16_224', 'info stays')
        vit.dispose()
        await rejects(vit.logits(image), 'disposed')
      })

    if (options.worker && inNode)
      test('a helper thread that ends rejects the calls', async () => {
        const workers = []
        const note = (worker) => workers.push({ worker, begun: new Promise((done) => worker.once('message', done)) })
        process.on('worker', note)
        try {
          const vit = await load(url(TIMM), { threads: 2 })
          await vit.logits(some(64, 64))
          equal(workers.length, 2, 'the engine, and a thread')
          await workers[1].begun // one that never begins is not missed
          await workers[1].worker.terminate()
          await rejects(vit.logits(some(64, 64)), 'internal', 'a helper thread ended')
          vit.dispose()
        } finally {
          process.off('worker', note)
        }
      })

    // A ViT, and what ends its worker as a crash would.
    async function loadWithWorker() {
      if (inNode) {
        let worker
        process.once('worker', (first) => (worker = first))
        return { vit: await load(url(TIMM)), end: () => worker.terminate() }
      }
      const { Worker } = globalThis
      let worker
      globalThis.Worker = class extends Worker {
        constructor(...args) {
          super(...args)
          worker ??= this
        }
      }
      try {
        return { vit: await load(url(TIMM)), end: () => worker.dispatchEvent(new ErrorEvent('error', { message: 'crash' })) }
      } finally {
        globalThis.Worker = Worker
      }
    }

    if (!inNode)
      test('bitmaps of calls that fail are closed', async () => {
        const { createImageBitmap } = globalThis
        const made = []
        globalThis.createImageBitmap = async (...args) => {
          const bitmap = await createImageBitmap(...args)
          made.push(bitmap)
          return bitmap
        }
        try {
          await using(url(TIMM), {}, async (vit) => {
            const canvas = new OffscreenCanvas(40, 30)
            canvas.getContext('2d').fillRect(0, 0, 40, 30)
            await rejects(vit.logits([canvas, 'x', canvas]), 'argument', 'image 1')
            const controller = new AbortController()
            const call = vit.logits(canvas, { signal: controller.signal })
            controller.abort()
            await rejects(call, 'cancelled')
            for (let i = 0; i < 2000 && (made.length < 3 || made.some(({ width }) => width)); i++) await pause()
            equal(made.map(({ width }) => width), [0, 0, 0], 'widths: 0 when closed or given away')
          })
        } finally {
          globalThis.createImageBitmap = createImageBitmap
        }
      })

    if (options.worker && !inNode)
      test('a bitmap whose pixels may not be read is the picture\'s fault', async () => {
        const { createImageBitmap } = globalThis
        globalThis.createImageBitmap = async (...args) => {
          const bitmap = await createImageBitmap(...args)
          bitmap.close() // like one of another origin's picture it cannot be posted
          return bitmap
        }
        try {
          const canvas = new OffscreenCanvas(40, 30)
          canvas.getContext('2d').fillRect(0, 0, 40, 30)
          await using(url(TIMM), { first: canvas }, async (vit) => {
            await rejects(vit.first, 'image', 'first')
            await rejects(vit.logits([some(32, 32), canvas]), 'image', 'image 1')
          })
        } finally {
          globalThis.createImageBitmap = createImageBitmap
        }
      })

    if (inNode)
      test('a file that cannot be opened is an error, and no file stays open', async () => {
        const [{ createServer }, { readdirSync, rmSync }] = await Promise.all([import('node:net'), import('node:fs')])
        const path = `${has.built}/socket-${process.pid}`
        const server = createServer().listen(path)
        await new Promise((done) => server.once('listening', done))
        await rejects(load({ config: 'tests/golden/forward/timm_cls/config.json', weights: path }), 'io', 'socket')
        server.close()
        rmSync(path, { force: true })
        const weights = 'tests/golden/forward/timm_cls/model.safetensors'
        const open = () => readdirSync('/proc/self/fd').filter((fd) => isWeights(fd)).length
        const { readlinkSync } = await import('node:fs')
        const isWeights = (fd) => {
          try {
            return readlinkSync(`/proc/self/fd/${fd}`).endsWith(weights)
          } catch {
            return false // the descriptor of the listing itself
          }
        }
        for (let i = 0; i < 5; i++) {
          await rejects(load({ config: 'tests/golden/nowhere.json', weights }), 'io', 'no such file')
          const controller = new AbortController()
          await rejects(load({ config: 'tests/golden/forward/timm_cls/config.json', weights }, { signal: controller.signal, onProgress: () => controller.abort() }), 'cancelled')
        }
        for (let i = 0; i < 2000 && open(); i++) await pause()
        equal(open(), 0, 'open weight files')
      })
  })
}
