// Times the package in a browser: one forward pass from a 500 x 375 and from a 12-megapixel JPEG to the answer, with the real
// ViT-Ti of VIT_DATA, and how long the page answers nothing meanwhile. Run by `./build.sh bench`; prints one line each.
//   node tests/bench/browser.mjs [chromium|firefox]...

import { launch } from '../browser/launch.mjs'
import { startServer } from '../browser/server.mjs'

const RUNS = 10

// In the page. Makes a JPEG of that size from a sample, and classifies it.
async function time(width, height, threads, runs) {
  const { ViT } = await import('/wasm/index.js')
  const source = await createImageBitmap(await (await fetch('/web/samples/cat.jpg')).blob())
  const canvas = new OffscreenCanvas(width, height)
  canvas.getContext('2d').drawImage(source, 0, 0, width, height)
  const jpeg = await canvas.convertToBlob({ type: 'image/jpeg', quality: 0.9 })
  const vit = await ViT.load('/data/vit_tiny_patch16_224/', { threads })
  const rows = []
  let gap = 0
  let seen = performance.now()
  const beat = setInterval(() => {
    gap = Math.max(gap, performance.now() - seen)
    seen = performance.now()
  }, 1)
  for (let i = 0; i < runs + 3; i++) {
    const begin = performance.now()
    const [best] = await vit.classify(jpeg)
    rows.push({ total: performance.now() - begin, ...vit.info.last, label: best.label })
  }
  clearInterval(beat)
  const { kernels, threads: used, memory } = vit.info
  vit.dispose()
  return { rows: rows.slice(3), gap, kernels, threads: used, memory, bytes: jpeg.size }
}

const sorted = (rows, key) => rows.map((row) => row[key]).sort((a, b) => a - b)
const show = (values) => `${values[0].toFixed(1)} / ${values[values.length >> 1].toFixed(1)}`

for (const name of process.argv.length > 2 ? process.argv.slice(2) : ['chromium']) {
  const server = await startServer()
  const browser = await launch(name)
  console.log(`${name} ${await browser.version()}, ViT-Ti/16 f32, milliseconds: minimum / median of ${RUNS} after 3`)
  for (const [width, height] of [[500, 375], [4000, 3000]])
    for (const threads of [1, 2]) {
      const page = await browser.newPage()
      await page.goto(server.url + 'blank.html')
      const { rows, gap, kernels, threads: used, memory, bytes } = await page.evaluate(time, width, height, threads, RUNS)
      const parts = ['decode', 'resize', 'forward'].map((part) => `${part} ${show(sorted(rows, part))}`).join(', ')
      console.log(`${width}x${height} JPEG of ${bytes} bytes, ${kernels}, ${used} threads: ${show(sorted(rows, 'total'))} (${parts}), ` +
        `longest pause of the page ${gap.toFixed(0)}, memory ${(memory.wasm / 1e6).toFixed(1)} MB, "${rows[0].label}"`)
      await page.close()
    }
  await browser.close()
  server.close()
}
