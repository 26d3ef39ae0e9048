// The demo page's tab Fill in, as a visitor uses it.

import { join } from 'node:path'
import { check, drop, fileOf, filled, noticed, openPage, root, sample, text, until, visible } from './visit.mjs'
import words from '../../web/words/en.js'

const shows = (page, share) => until(page, (share) => document.querySelector('#fill .controls').checkVisibility()
  && document.querySelector('#share-number').textContent === share, share.replace(' ', '\u00a0'))
const overlay = (page) => page.evaluate(() => {
  const { width, height } = document.querySelector('#patches')
  return document.querySelector('#patches').getContext('2d').getImageData(0, height >> 1, width, 4).data.join()
})
const maskOf = (page) => new URLSearchParams(page.url().split('?')[1]).get('mask')
const countBits = (hex) => [...hex].reduce((sum, digit) => sum + parseInt(digit, 16).toString(2).replaceAll('0', '').length, 0)

// How often the engine is asked, of which the page cannot be asked.
const countCalls = () => {
  globalThis.calls = 0
  const { postMessage } = Worker.prototype
  Worker.prototype.postMessage = function (message, ...rest) {
    calls += message.call?.[0] === 'predictMasked'
    return postMessage.call(this, message, ...rest)
  }
}

export async function testFill(base, browserName) {
  const { page, foreign, close } = await openPage(`${base}#fill?sample=coffee&share=25&seed=3`)
  check(await shows(page, '25.0 %'), `fill: a link with share and seed: ${await text(page, '#fill')}`)
  check((await text(page, '#caption .grid')).startsWith('16 × 16 patches'), `fill: the grid: ${await text(page, '#caption .grid')}`)
  check(/^[0-9.]+ % of/.test(await text(page, '#fill .verdict')) && /off by [0-9.]+ of 255.*off by [0-9.]+/.test(await text(page, '#fill .error')), `fill: the score: ${await text(page, '#fill .verdict')}`)
  const first = await overlay(page)
  check(first.split(',').some((value, i) => i % 4 === 3 && value === '255'), 'fill: it is filled in on the picture')
  const twins = await page.$$eval('#fill .twins canvas', (all) => all.map((canvas) => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.join()))
  check(twins[0] !== twins[1] && /(128,128,128,255,){20}/.test(twins[0]) && !/(128,128,128,255,){20}/.test(twins[1]), 'fill: what it sees, and its patches')

  await page.click('#fill-none')
  check(await shows(page, '0.0 %') && (await text(page, '#fill .verdict')) === words['fill.nothing'], 'fill: nothing is hidden')
  const box = await (await page.$('#patches')).boundingBox()
  const at = (column, row) => [box.x + (column + 0.5) * box.width / 16, box.y + (row + 0.5) * box.height / 16]
  await page.mouse.move(...at(3, 8))
  await page.mouse.down()
  await page.mouse.move(...at(10, 8)) // the pointer jumps, the stroke does not
  await page.mouse.up()
  check(await shows(page, '3.1 %'), `fill: a stroke of eight patches: ${await text(page, '#share-number')}`)
  check(maskOf(page) === '0'.repeat(32) + '1fe0'.padEnd(32, '0'), `fill: the link is ${page.url()}`)
  check(await until(page, (start) => document.querySelector('#fill .patch').textContent.startsWith(start), 'Patch 9, 11: predicted'), `fill: of the patch: ${await text(page, '#fill .patch')}`)
  check(await page.$$eval('#fill .swatch', (all) => all.every((one) => /^rgb/.test(one.style.background) && getComputedStyle(one).visibility === 'visible')), 'fill: its colours')
  await page.mouse.move(2, 2)
  const painted = await overlay(page)
  await page.focus('#fill-truth')
  await page.keyboard.down(' ')
  check((await overlay(page)) !== painted, 'fill: the truth')
  await page.keyboard.up(' ')
  check((await overlay(page)) === painted, 'fill: and the filling again')
  const isShown = () => page.$eval('#fill-truth', (button) => button.getAttribute('aria-pressed'))
  await page.$eval('#fill-truth', (button) => button.click()) // as voice control does
  check((await isShown()) === 'true' && (await overlay(page)) !== painted, 'fill: the truth for a click')
  check(await until(page, () => document.querySelector('#fill-truth').getAttribute('aria-pressed') === 'false') && (await overlay(page)) === painted, 'fill: for a while')
  await page.click('#fill-truth')
  check((await isShown()) === 'false', 'fill: not after a pointer has let go')

  await page.focus('#patches')
  await page.keyboard.press('ArrowRight')
  await page.keyboard.press(' ')
  check(await shows(page, '2.7 %'), `fill: by keyboard a patch is shown: ${await text(page, '#share-number')}`)
  check(await until(page, () => /^Patch 9, 9 is visible/.test(document.querySelector('#live').textContent)), `fill: and that is said: ${await text(page, '#live')}`)
  await page.keyboard.press('ArrowDown')
  await page.click('#fill-brush label:nth-of-type(3) input')
  await page.focus('#patches')
  await page.keyboard.press('ArrowDown')
  await page.keyboard.press('Enter')
  check(await until(page, () => Number(document.querySelector('#share').value) > 6), `fill: a wide brush: ${await text(page, '#share-number')}`)

  if (browserName === 'chromium') {
    const [link, share] = [page.url(), await text(page, '#share-number')]
    await page.click('#camera')
    check(await until(page, () => document.querySelector('#viewfinder').videoWidth > 0), 'fill: the camera')
    await page.$eval('#share-number', (number) => { number.textContent = '' }) // until the picture is filled in again
    await page.click('#camera-off')
    check(await until(page, () => document.querySelector('#viewfinder').hidden) && await shows(page, share) && page.url() === link, `fill: its buttons paint nothing: ${page.url()}`)
    await page.focus('#patches')
  }

  await page.evaluate(countCalls)
  const after = await page.evaluate(async () => {
    const canvas = document.querySelector('#patches')
    const { left, top, width, height } = canvas.getBoundingClientRect()
    canvas.setPointerCapture = () => {}
    const send = (kind, i) => canvas.dispatchEvent(new PointerEvent(kind, { bubbles: true, pointerType: 'touch', clientX: left + width * (0.1 + 0.008 * i), clientY: top + height * 0.1 }))
    send('pointerdown', 0)
    for (let i = 1; i < 100; i++) send('pointermove', i)
    send('pointerup', 100)
    return calls
  })
  check(after <= 1, `fill: a fast stroke asks once and waits, not ${after} times`)
  check(await until(page, () => calls > 0) && countBits(maskOf(page)) > 60, `fill: by touch: ${page.url()}`)
  await new Promise((done) => setTimeout(done, 300))
  check((await page.evaluate(() => calls)) <= 3, `fill: of a hundred steps the newest: ${await page.evaluate(() => calls)} calls`)

  await page.click('#fill-dice')
  check(await shows(page, '25.0 %') && /seed=\d+/.test(page.url()) && !maskOf(page), `fill: others are hidden: ${page.url()}`)
  await page.focus('#share')
  await page.keyboard.press('End')
  check(await shows(page, '95.3 %'), `fill: the slider: ${await text(page, '#share-number')}`)
  await page.click('#fill-grid label:nth-of-type(2) input')
  check(await until(page, () => document.querySelector('#caption .grid').textContent.startsWith('32 × 32')) && /grid=2/.test(page.url()), `fill: twice as fine: ${page.url()}`)
  await drop(page, sample('horse'))
  check(await until(page, () => document.querySelector('#caption .file').textContent.startsWith('my horse') && document.querySelector('#fill .controls').getAttribute('aria-busy') === 'false'), 'fill: another picture')
  await page.evaluate(() => {
    const make = URL.createObjectURL.bind(URL)
    URL.createObjectURL = (blob) => {
      if (blob.type === 'image/png') createImageBitmap(blob).then(({ width, height }) => { globalThis.saved = `${width} ${height}` })
      return make(blob)
    }
    HTMLAnchorElement.prototype.click = () => {}
  })
  await page.click('#fill-save')
  check(await until(page, () => globalThis.saved === '400 328'), `fill: downloaded in its own size: ${await page.evaluate(() => globalThis.saved)}`)
  await page.click('#tabs [data-tab="look"]')
  check(await until(page, () => document.querySelector('#look .how').checkVisibility()) && !/32 × 32/.test(await text(page, '#caption .grid')), 'fill: the next tab has its own patches')
  check(!foreign().length, `fill: requests to ${foreign()}`)
  await close('fill')

  if (browserName === 'firefox') return
  const bare = await openPage(`${base}#classify`, { quiet: true })
  await bare.page.evaluate(() => {
    const real = fetch
    globalThis.fetch = (url, options) => (/masked\.gguf/.test(url) ? Promise.resolve(new Response('', { status: 404 })) : real(url, options))
  })
  await bare.page.click('#tabs [data-tab="fill"]')
  check(await noticed(bare.page, 'error.no-masked'), 'fill: without its model it says what to load')
  check(!(await visible(bare.page, '#fill .controls')), 'fill: and shows nothing else')
  const mae = (name) => fileOf(join(root, 'tests/golden/mae/hf_mae', name), name)
  await drop(bare.page, mae('config.json'), mae('model.safetensors'))
  check(await shows(bare.page, '50.0 %'), `fill: a masked autoencoder: ${await text(bare.page, '#fill')}`)
  check((await text(bare.page, '#caption .grid')).startsWith('4 × 4'), 'fill: its patches')
  await bare.page.focus('#share')
  await bare.page.keyboard.press('End')
  check(await shows(bare.page, '93.8 %'), `fill: a masked autoencoder sees one patch at least: ${await text(bare.page, '#fill')}`)
  await bare.page.focus('#patches')
  await bare.page.keyboard.press('ArrowUp')
  check(await until(bare.page, (words) => words.includes(document.querySelector('#fill .patch').textContent),
    ['fill.patch.pixels', 'fill.patch.visible'].map((key) => filled(key, { row: 3, column: 3 }))), `fill: pixels have no probability: ${await text(bare.page, '#fill .patch')}`)
  await bare.close('fill, without a model')
}
