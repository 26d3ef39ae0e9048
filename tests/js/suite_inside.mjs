// The part of the suite that wants the package's sources, run in place.

import * as built from '../../wasm/index.js'
import { Wasm } from '../../wasm/module.mjs'
import { describe, equal, test } from './harness.mjs'

const TIMM = 'golden/forward/timm_cls/'
const inNode = typeof process === 'object'

// What it uses of the suite's own helpers.
export function defineInside({ url, load, using, some, options }) {
  describe('inside', () => {
    test('an engine that crashes as it is closed is no unhandled rejection', async () => {
      let unhandled = 0
      const note = (event) => (event?.preventDefault?.(), unhandled++)
      if (inNode) process.on('unhandledRejection', note)
      else addEventListener('unhandledrejection', note)
      const { close } = Wasm.prototype
      Wasm.prototype.close = function () {
        close.call(this)
        throw new Error('crash')
      }
      try {
        const vit = await load(url(TIMM))
        vit.dispose()
        await new Promise((done) => setTimeout(done, 50))
        equal(unhandled, 0)
      } finally {
        Wasm.prototype.close = close
        if (inNode) process.off('unhandledRejection', note)
        else removeEventListener('unhandledrejection', note)
      }
    })

    test('the built file answers like its sources', async () => {
      const image = some(32, 32)
      const vit = await built.ViT.load(url(TIMM), options)
      await using(url(TIMM), {}, async (ours) => equal(await vit.logits(image), await ours.logits(image)))
      vit.dispose()
    })
  })
}
