// The page's tab Find, as a visitor uses it.

import { join } from 'node:path'
import { check, drop, encoded, fileOf, filled, openPage, sample, text, tiny, until, visible } from './visit.mjs'
import words from '../../web/words/en.js'

const counts = (page, wanted) => until(page, (wanted) => document.querySelector('#find .count').textContent === wanted, wanted)
const seen = (page, total) => counts(page, filled('find.all', { total }))
const tiles = (page) => page.$$eval('#tiles button', (all) => all.map((one) => [one.title, Number(one.querySelector('.score').textContent)]))
const onStage = (page, name) => until(page, (name) => document.querySelector('#caption .file').textContent.startsWith(name)
  && document.querySelector('#tiles [aria-current="true"]')?.title === name && document.querySelector('#tiles button').title === name, name)

// Drops so many small pictures, stripes of one colour and direction each: 000.png, ... They are kept as globalThis.files.
const dropMany = (page, from, to) => page.evaluate(async (from, to) => {
  globalThis.files ??= []
  const transfer = new DataTransfer()
  for (let i = from; i < to; i++) {
    const canvas = new OffscreenCanvas(32, 32)
    const pen = canvas.getContext('2d')
    pen.fillStyle = `hsl(${(i * 47) % 360} 70% ${20 + (i % 7) * 10}%)`
    pen.fillRect(0, 0, 32, 32)
    pen.fillStyle = '#fff'
    for (let x = i % 11; x < 32; x += 11) pen.fillRect(i % 2 ? x : 0, i % 2 ? 0 : x, i % 2 ? 3 : 32, i % 2 ? 32 : 3)
    files.push(new File([await canvas.convertToBlob()], `${String(i).padStart(3, '0')}.png`, { type: 'image/png' }))
    transfer.items.add(files.at(-1))
  }
  document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: transfer, bubbles: true, cancelable: true }))
}, from, to)

// Names of the pictures that the package finds nearest to one of them, and their cosines.
const wanted = (page, at, most) => page.evaluate(async (at, most) => {
  const { ViT } = await import('/wasm/index.js')
  const vit = await ViT.load('/model/', { threads: 1 })
  const rows = await vit.features(files)
  vit.dispose()
  const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0)
  const cosine = (a, b) => dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b))
  return rows.map((row, i) => [files[i].name, cosine(row, rows[at])]).sort((a, b) => b[1] - a[1]).slice(0, most)
}, at, most)

export async function testFind(base, browserName) {
  const { page, foreign, close } = await openPage(`${base}#find`)
  await until(page, () => document.querySelector('#model-button .dot').hasAttribute('data-on'))
  check(await visible(page, '#find .empty') && !(await visible(page, '#find .full')), 'find: nothing at first')
  await dropMany(page, 0, 80)
  check(await onStage(page, '000.png'), 'find: the first of those that were dropped is looked for')
  check(await seen(page, 80), `find: all are seen: ${await text(page, '#find .count')}`)
  check(await until(page, (said) => document.querySelector('#live').textContent === said, filled('find.done', { total: 80 })), 'find: that is said')
  const nearest = async (at, name) => {
    const [made, best] = [await tiles(page), await wanted(page, at, 60)]
    check(made.length === 60 && made.every(([, score], i) => Math.abs(score - best[i][1]) < 0.0051), `find: cosines of ${name}: ${made.slice(0, 5)}, ${best.slice(0, 5)}`)
    check(made.slice(0, 10).every(([one]) => best.slice(0, 12).some(([other]) => one === other)), `find: nearest of ${name}: ${made.slice(0, 10)}, ${best.slice(0, 10)}`)
  }
  await nearest(0, 'the first')
  check(await until(page, () => [...document.querySelectorAll('#tiles canvas')].every(({ width }) => width > 1)), 'find: tiles have pictures')
  await page.click('#find-more')
  check((await tiles(page)).length === 80 && !(await visible(page, '#find-more')), 'find: more of them')

  const title = (selector) => page.$eval(selector, (button) => button.title)
  const chosen = await title('#tiles li:nth-child(7) button')
  await page.click('#tiles li:nth-child(7) button')
  check(await onStage(page, chosen), 'find: a click on a picture looks for that one')
  check(await page.evaluate(() => document.activeElement.title === document.querySelector('#tiles button').title), 'find: it keeps the focus')
  const second = await title('#tiles li:nth-child(2) button')
  for (const key of ['End', 'ArrowUp', 'Home', 'ArrowDown', 'ArrowUp', 'ArrowRight']) await page.keyboard.press(key)
  check((await page.evaluate(() => document.activeElement.title)) === second, 'find: arrows go from picture to picture')
  await page.keyboard.press('Enter')
  check(await onStage(page, second), 'find: Enter looks for it')
  check((await page.$$('#tiles [tabindex="0"]')).length === 1, 'find: one stop for Tab')

  await drop(page, sample('coffee'))
  check(await until(page, () => document.querySelector('#caption .file').textContent.startsWith('my coffee') && !document.querySelector('#tiles [aria-current="true"]')), 'find: one picture is looked for')
  check(await seen(page, 80), 'find: and not added')
  await drop(page, encoded('broken.jpg', 'image/jpeg', 'no picture'), sample('horse'))
  check(await seen(page, 82) && (await text(page, '#find .failed')).includes('broken.jpg'), `find: a broken one is told: ${await text(page, '#find .failed')}`)

  await page.evaluate(() => {
    globalThis.pauses = []
    const button = document.querySelector('#find-stop')
    new MutationObserver(() => !button.hidden && !pauses.stopped && (pauses.stopped = true, button.click())).observe(button, { attributes: true, childList: true })
    let last = performance.now()
    setInterval(() => {
      const now = performance.now()
      pauses.push(now - last)
      last = now
    }, 5)
  })
  await dropMany(page, 80, 280)
  check(await until(page, (word) => document.querySelector('#find-stop').textContent === word, words['find.on']), 'find: stopped')
  const stopped = await page.$eval('#find-progress', ({ value, max }) => [value, max])
  await new Promise((done) => setTimeout(done, 100))
  check(stopped[0] < stopped[1] && (await page.$eval('#find-progress', ({ value }) => value)) === stopped[0], `find: stopped, nothing goes on: ${stopped}`)
  await page.click('#find-stop')
  check(await until(page, () => document.querySelector('#find-progress').hidden), 'find: it goes on where it was')
  console.log(`find: 200 pictures more; longest pause of the page ${Math.round(await page.evaluate(() => Math.max(...pauses)))} ms`)

  await page.evaluate(() => {
    const make = URL.createObjectURL.bind(URL)
    URL.createObjectURL = (blob) => {
      blob.arrayBuffer().then((bytes) => { globalThis.saved = bytes })
      return make(blob)
    }
    HTMLAnchorElement.prototype.click = () => {}
  })
  await page.click('#find-save')
  const [shape, names, bytes] = await until(page, () => globalThis.saved) && await page.evaluate(() => {
    const length = Number(new DataView(saved).getBigUint64(0, true))
    const { features, __metadata__: { names } } = JSON.parse(new TextDecoder().decode(new Uint8Array(saved, 8, length)))
    return [features.shape, JSON.parse(names), saved.byteLength - 8 - length]
  })
  check(shape[0] === names.length && names.length === 281 && names[0] === '000.png' && bytes === 4 * shape[0] * shape[1], `find: features are saved: ${shape}, ${bytes}`)

  if (browserName === 'chromium') {
    await page.click('#camera')
    check(await until(page, () => document.querySelector('#viewfinder').videoWidth > 0), 'find: the camera')
    const before = JSON.stringify(await tiles(page))
    check(await until(page, (before) => JSON.stringify([...document.querySelectorAll('#tiles button')].map((one) => [one.title, Number(one.querySelector('.score').textContent)])) !== before, before), 'find: follows the camera')
    await page.click('#camera-off')
  }
  await page.click('#tabs [data-tab="classify"]')
  await page.click('#tabs [data-tab="find"]')
  check((await tiles(page)).length > 60, 'find: all is there when the tab is opened again')
  const model = (name) => fileOf(join(tiny, name), name)
  await drop(page, model('config.json'), model('model.safetensors'))
  check(await until(page, () => !document.querySelector('#find-progress').hidden) && await until(page, () => document.querySelector('#find-progress').hidden), 'find: another model sees all again')
  await page.click('#find-clear')
  check(await visible(page, '#find .empty') && !(await tiles(page)).length, 'find: all removed')
  check(!foreign().length, `find: requests to ${foreign()}`)
  await close('find')
}
