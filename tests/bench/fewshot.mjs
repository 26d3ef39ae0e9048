// Times few-shot fits as a page makes them, in Node and in Chromium: 500 examples of 5 classes, of features as ViT-Ti's.
//   node tests/bench/fewshot.mjs MODELS_FOLDER

import { join } from 'node:path'
import { launch } from '../browser/launch.mjs'
import { serve } from './serve.mjs'

// In pages too. Milliseconds of vit.fitFewShot(), the least of so many and the median.
async function time(ViT, url, runs = 40) {
  const vit = await ViT.load(url, { threads: 1 })
  let state = 1
  const noise = () => (state = (state * 48271) % 2147483647) / 2147483647 - 0.5
  const features = (label) => Float32Array.from({ length: 192 }, (_, d) => noise() + (d % 5 === label ? 0.2 : 0))
  const examples = Array.from({ length: 500 }, (_, i) => ({ label: `class ${i % 5}`, features: features(i % 5) }))
  const lines = []
  for (const l2 of [1024, undefined]) {
    const times = []
    for (let i = 0; i < runs; i++) {
      const start = performance.now()
      const probe = await vit.fitFewShot(examples, { l2 })
      times.push(performance.now() - start)
      probe.dispose()
    }
    times.sort((a, b) => a - b)
    lines.push(`${l2 ? 'given l2' : 'l2 by leave-one-out'}: min ${times[0].toFixed(1)}  median ${times[runs >> 1].toFixed(1)} of ${runs}`)
  }
  vit.dispose()
  return lines.join('\n')
}

const [folder] = process.argv.slice(2)
const { ViT } = await import('../../wasm/index.js')
console.log(`Node ${process.version}\n${await time(ViT, join(folder, 'ti/'))}`)
const server = await serve({ '/models/': folder })
const browser = await launch('chromium')
try {
  const page = await browser.newPage()
  await page.goto(server.url + 'tests/bench/blank.html')
  console.log(await browser.version())
  console.log(await page.evaluate(`import('/wasm/index.js').then(({ ViT }) => (${time})(ViT, '/models/ti/'))`))
} finally {
  await browser.close()
  server.close()
}
