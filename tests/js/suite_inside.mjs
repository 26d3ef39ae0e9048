// The part of the suite that wants the package's sources, run in place.

import * as built from '../../wasm/index.js'
import { Wasm } from '../../wasm/module.mjs'
import { describeSource } from '../../wasm/source.mjs'
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

    test('pages of the hub are about what they show', async () => {
      const whole = ['owner/name', 'owner/name/', 'owner/name/tree/main', 'owner/name/tree/main/', 'owner/name/commits/v2', 'owner/name/resolve/main', 'owner/name/resolve/main/',
        'owner/name/raw/main/config.json', 'owner/name/blob/main/config.json', 'owner/name/resolve/main/config.json?download=true']
      const parts = {
        'owner/name/tree/v2/a/b': 'v2/a/b/', 'owner/name/tree/refs%2Fpr%2F1': 'refs%2Fpr%2F1/', 'owner/name/blob/v2/a/config.json': 'v2/a/',
        ...Object.fromEntries(['blob', 'raw', 'resolve'].map((page) => [`owner/name/${page}/main/model.gguf?download=true`, 'main/model.gguf'])),
        'owner/name/blob/main/model.safetensors.index.json': 'main/model.safetensors.index.json'
      }
      for (const host of ['huggingface.co', 'www.huggingface.co', 'hf.co'])
        for (const [path, wanted] of [...whole.map((path) => [path, 'main/']), ...Object.entries(parts)])
          equal((await describeSource(`https://${host}/${path}`)).weights.url, `https://huggingface.co/owner/name/resolve/${wanted}`, `${host}/${path}`)
      const elsewhere = { 'owner/name/resolve/main': 'owner/name/resolve/main/', 'owner/name': 'owner/name', 'owner/name/blob/main/config.json': 'owner/name/blob/main/config.json' }
      for (const [path, wanted] of Object.entries(elsewhere)) equal((await describeSource(`https://example.com/${path}`)).weights.url, `https://example.com/${wanted}`, path)
      equal((await describeSource('https://huggingface.co/docs')).weights.url, 'https://huggingface.co/docs', 'no model')
    })

    test('the built file answers like its sources', async () => {
      const image = some(32, 32)
      const vit = await built.ViT.load(url(TIMM), options)
      await using(url(TIMM), {}, async (ours) => equal(await vit.logits(image), await ours.logits(image)))
      vit.dispose()
    })
  })
}
