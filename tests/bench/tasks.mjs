// Times what a page does while someone waits, in Node and in browsers: few-shot fits of 500 examples of 5 classes, of features as
// ViT-Ti's; and strokes over a photograph, which the model of masked patches that comes with the package fills in.
//   node tests/bench/tasks.mjs MODELS_FOLDER

import { join } from 'node:path'
import { launch } from '../browser/launch.mjs'
import { serve } from './serve.mjs'

// In pages too. Milliseconds of vit.fitFewShot(), the least of so many and the median.
async function timeFits(ViT, url, runs = 40) {
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
    lines.push(`few-shot, ${l2 ? 'given l2' : 'l2 by leave-one-out'}: min ${times[0].toFixed(1)}  median ${times[runs >> 1].toFixed(1)} of ${runs}`)
  }
  vit.dispose()
  return lines.join('\n')
}

// Milliseconds of a stroke at 16 x 16 patches: vit.predictMasked() in a worker, as the page calls it, on 600 x 400 pixels.
async function timeStrokes(ViT, runs = 100) {
  const vit = await ViT.load(ViT.models.masked, { threads: 2, worker: true })
  const image = { data: Uint8ClampedArray.from({ length: 960000 }, (_, i) => 128 + 100 * Math.sin(i / 5000)), width: 600, height: 400 }
  const mask = new Uint8Array(256)
  const times = []
  for (let i = 0; i < runs; i++) {
    mask[(i * 37) % 256] = 1
    const start = performance.now()
    await vit.predictMasked(image, { mask, raw: true })
    times.push(performance.now() - start)
  }
  const { architecture, threads } = vit.info
  vit.dispose()
  times.sort((a, b) => a - b)
  return `a stroke at 16 x 16 patches, ${architecture}, ${threads} threads: min ${times[0].toFixed(1)}  median ${times[runs >> 1].toFixed(1)} of ${runs}`
}

const [folder] = process.argv.slice(2)
const { ViT } = await import('../../wasm/index.js')
console.log(`Node ${process.version}\n${await timeFits(ViT, join(folder, 'ti/'))}\n${await timeStrokes(ViT)}`)
const server = await serve({ '/models/': folder })
for (const name of ['chromium', 'firefox']) {
  const browser = await launch(name)
  try {
    const page = await browser.newPage()
    await page.goto(server.url + 'tests/bench/blank.html')
    console.log(await browser.version())
    for (const call of [`(${timeFits})(ViT, '/models/ti/')`, `(${timeStrokes})(ViT)`])
      console.log(await page.evaluate(`import('/wasm/index.js').then(({ ViT }) => ${call})`))
  } finally {
    await browser.close()
  }
}
server.close()
