// The part of the suite about signals that fire: before, while and after something is under way.

import { describe, equal, rejects, test } from './harness.mjs'

const TIMM = 'golden/forward/timm_cls/'
const inNode = typeof process === 'object'

// What it uses of the suite's own helpers.
export function defineCancel({ url, bytesOf, load, using, streamOf, some, pause }) {
  describe('cancelling', () => {
    const aborted = () => {
      const controller = new AbortController()
      controller.abort()
      return controller.signal
    }

    test('before it starts', async () => {
      await rejects(load(url(TIMM), { signal: aborted() }), 'cancelled')
      await using(url(TIMM), {}, async (vit) => {
        await rejects(vit.classify(some(32, 32), { signal: aborted() }), 'cancelled')
        equal((await vit.classify(some(32, 32))).length, 5)
      })
    })

    test('while it starts', async () => {
      for (const turns of [0, 1, 2, 4, 8, 16]) {
        const controller = new AbortController()
        const loading = rejects(load(url(TIMM), { signal: controller.signal }), 'cancelled')
        for (let i = 0; i < turns; i++) await null
        controller.abort()
        await loading
      }
    })

    test('a download that never ends', async () => {
      for (const stall of [0, 1, 70000]) {
        const controller = new AbortController()
        const name = `stall-${stall}-${Math.random()}`
        const isOpen = async () => (await (await fetch(url(`stalled?name=${name}`))).json()).open
        const refused = rejects(load(url(`${TIMM}model.safetensors?stall=${stall}&name=${name}`), { signal: controller.signal }), 'cancelled')
        while (!(await Promise.race([isOpen(), refused]))) await pause()
        controller.abort()
        await refused
        while (await isOpen()) await pause()
      }
    })

    if (!inNode)
      test('a module that never comes', async () => {
        const { fetch } = globalThis
        globalThis.fetch = (resource, init) => (String(resource.url ?? resource).endsWith('.wasm') ? new Promise(() => {}) : fetch(resource, init))
        try {
          const controller = new AbortController()
          const refused = rejects(load(url(TIMM), { signal: controller.signal }), 'cancelled')
          await pause()
          controller.abort()
          await refused
        } finally {
          globalThis.fetch = fetch
        }
      })

    test('what is computed between all patches', async () => {
      await using(url(TIMM), {}, async (vit) => {
        const controller = new AbortController()
        const call = vit.inspect('positions', { size: 1024, signal: controller.signal })
        const next = vit.logits(some(32, 32))
        setTimeout(() => controller.abort(), 20)
        await rejects(call, 'cancelled')
        equal((await next).length > 0, true, 'the next call')
        const { grid, similarity } = await vit.inspect('positions', { size: [144, 160] })
        const patches = grid[0] * grid[1]
        equal(similarity.length, patches * patches)
        for (let i = 0; i < patches; i += 7) {
          equal(Math.abs(similarity[i * patches + i] - 1) < 1e-6, true, 'a patch and itself')
          equal(similarity[i * patches + 1], similarity[patches + i], 'the same in both directions')
        }
      })
    })

    test('a stream that never ends is cancelled too', async () => {
      const [weights, config] = [await bytesOf(TIMM + 'model.safetensors'), await bytesOf(TIMM + 'config.json')]
      const controller = new AbortController()
      const stream = streamOf(weights, [1000], 60000)
      await rejects(load({ config, weights: stream }, { signal: controller.signal, onProgress: ({ loaded }) => loaded === 60000 && controller.abort() }), 'cancelled')
      while (!stream.wasCancelled) await pause()
    })

    test('one call of several leaves the others right', async () => {
      await using(url(TIMM), {}, async (vit) => {
        const image = some(256, 256)
        const wanted = await vit.logits(image)
        for (const wait of [0, 5, 30]) {
          const controllers = [0, 1, 2, 3].map(() => new AbortController())
          const calls = controllers.map(({ signal }) => vit.logits(image, { signal }))
          setTimeout(() => controllers[1].abort(), wait)
          const results = await Promise.allSettled(calls)
          for (const i of [0, 2, 3]) equal(results[i].value, wanted, `call ${i}`)
          if (results[1].status === 'fulfilled') equal(results[1].value, wanted, 'a cancel that came too late')
          else equal(results[1].reason.code, 'cancelled')
        }
        const controller = new AbortController()
        const running = vit.logits(some(640, 640), { signal: controller.signal })
        const next = vit.logits(image)
        setTimeout(() => controller.abort(), 20)
        await rejects(running, 'cancelled')
        equal(await next, wanted, 'the next call')
        const batch = new AbortController()
        const many = vit.logits(Array(20).fill(some(128, 128)), { signal: batch.signal })
        setTimeout(() => batch.abort(), 20)
        await many.then(() => {}, (error) => equal(error.code, 'cancelled'))
        equal(await vit.logits(image), wanted, 'after a cancelled batch')
      })
    })
  })
}
