// How the demo page looks where that can be told: what is named, what moves, what stays in sight, for whom.

import { statSync } from 'node:fs'
import { join } from 'node:path'
import { axe } from './launch.mjs'
import { answered, check, drop, encoded, filled, noticed, openPage, root, sample, text, until, visible } from './visit.mjs'
import words from '../../web/words/en.js'

const compared = (page) => until(page, () => document.querySelector('#compare .result').checkVisibility()
  && document.querySelector('#compare .result').getAttribute('aria-busy') === 'false')
const pause = (ms) => new Promise((done) => setTimeout(done, ms))
const press = (page, selector) => page.$eval(selector, (element) => element.click())
const topOf = (page, selector) => page.$eval(selector, (element) => element.getBoundingClientRect().top + scrollY)

async function enter(page, address) {
  await page.$eval('#url', (input) => { input.value = '' })
  await page.type('#url', address)
  await page.click('#url-form button')
}

// The answer of Step by step has bars like any other.
async function testBars(base) {
  const { page, close } = await openPage(`${base}#look`)
  await until(page, () => document.querySelector('#steps').checkVisibility())
  await page.click('#steps summary')
  await press(page, '#steps [value="4"]')
  check(await until(page, () => document.querySelectorAll('#steps .bar i').length === 3), 'bars: three classes')
  const bars = await page.evaluate(() => [...document.querySelectorAll('#steps li')].map((row) => {
    const [bar, line] = ['.bar i', '.bar'].map((selector) => row.querySelector(selector).getBoundingClientRect())
    const { position, outlineStyle } = getComputedStyle(row.querySelector('.bar i'))
    return { position, outlineStyle, part: bar.width / line.width, wanted: parseFloat(row.querySelector('.score').textContent) / 100, inside: bar.bottom <= line.bottom + 1 }
  }))
  check(bars.length === 3 && bars.every(({ position, outlineStyle, part, wanted, inside }) => position === 'static' && outlineStyle === 'none' && inside && Math.abs(part - wanted) < 0.02),
    `bars: as long as their scores: ${JSON.stringify(bars)}`)
  await close('bars')
}

// After Fill in, which has a model of its own, the page's is named again.
async function testNames(bare) {
  const { page, close } = await openPage(`${bare}#fill`)
  for (const tab of ['teach', 'find']) {
    const isOther = (own) => /decode/.test(document.querySelector('#foot-runs').textContent) && !document.querySelector('#foot-runs').textContent.startsWith(own)
    check(await until(page, isOther, words['model.built-in']), `names: what fills in: ${await text(page, '#foot-runs')}`)
    await page.click(`#tabs [data-tab="${tab}"]`)
    check((await text(page, '#foot-runs')).startsWith(words['model.built-in']), `names: after Fill in ${tab} says: ${await text(page, '#foot-runs')}`)
    check((await text(page, '#runs dd')) === words['model.built-in'], `names: after Fill in ${tab} lists: ${await text(page, '#runs dd')}`)
    await page.click('#tabs [data-tab="fill"]')
  }
  await close('names')
}

// A hybrid of one layer has no layers to choose among, and convolutions before its patches.
async function testOneLayer(bare) {
  const { page, close } = await openPage(`${bare}#look`)
  check(await until(page, (how) => document.querySelector('#look .how').textContent === how, filled('look.says.mean.one')), `one layer: ${await text(page, '#look .how')}`)
  check(!(await visible(page, '#layer')) && !(await page.$('#heads [value="rollout"]')), 'one layer: nothing to choose among')
  check((await page.$eval('#look .hint', (hint) => hint.innerText)) === filled('look.hint.one'), 'one layer: the hint')
  await press(page, '#heads [value="6"]')
  check(await until(page, (how) => document.querySelector('#look .how').textContent === how, filled('look.says.head.one', { head: 6 })), 'one layer: a head')
  await page.click('#steps summary')
  const size = { width: 32, height: 32, rows: 4, columns: 4 }
  const captions = { 1: ['steps.1.text.convolved.middle', size], 2: ['steps.2.text.convolved'], 3: ['steps.3.text.one'], 4: ['steps.4.text', { count: 10 }] }
  for (const [step, caption] of Object.entries(captions)) {
    await press(page, `#steps [value="${step}"]`)
    check(await until(page, (wanted) => document.querySelector('#steps figcaption').innerText === wanted, filled(...caption)), `one layer: step ${step}: ${await text(page, '#steps figcaption')}`)
  }
  await press(page, '[data-sample="camera"]') // a square
  await press(page, '#steps [value="1"]')
  check(await until(page, (wanted) => document.querySelector('#steps figcaption').innerText === wanted, filled('steps.1.text.convolved', size)), `one layer: the whole picture: ${await text(page, '#steps figcaption')}`)
  await page.click('#learnt summary')
  const caption = filled('learnt.filters.convolved', { count: 26, width: 3, height: 3 })
  check(await until(page, (wanted) => document.querySelector('#learnt figcaption').innerText === wanted, caption), `one layer: filters: ${await text(page, '#learnt figcaption')}`)
  check(await until(page, () => !document.querySelector('#learnt figure:nth-of-type(2)').hidden), 'one layer: positions')
  check(await page.$eval('#learnt canvas', ({ width, height }) => width === 7 * 4 - 1 && height === 4 * 4 - 1), 'one layer: filters that are there')
  await pause(500)
  check(!(await visible(page, '#learnt figure:last-child')), 'one layer: no chart of layers')
  await close('one layer')
}

// Another model takes the place of one that answers: nothing moves, what it says fades, and it can be stopped.
async function testStill(bare, elsewhere) {
  const { page, close } = await openPage(bare, { width: 1440, height: 900, quiet: true })
  await answered(page, 'cat')
  await page.evaluate(() => {
    globalThis.tops = new Set()
    const look = () => {
      tops.add(Math.round(document.querySelector('#scores').getBoundingClientRect().top + scrollY))
      requestAnimationFrame(look)
    }
    look()
  })
  await press(page, '#compute [value="int8"]')
  check(await until(page, () => document.querySelector('#foot-runs').textContent.includes('int8')) && await answered(page, 'cat'), 'still: int8')
  await page.click('#model-button')
  await enter(page, `${elsewhere.url}/slow.gguf`)
  check(await until(page, () => document.querySelector('#loading .count').textContent.includes(' of 16,777,216')), 'still: progress')
  await pause(600)
  check((await page.$eval('#scores', (scores) => getComputedStyle(scores).opacity)) < 1, 'still: the answer to be replaced fades')
  check((await text(page, '#model-button .name')) === words['model.built-in'], 'still: the model in use is named')
  check(await page.$eval('#cancel', (button) => {
    const { left, top, width, height } = button.getBoundingClientRect()
    return document.elementFromPoint(left + width / 2, top + height / 2) === button
  }), 'still: Cancel is within reach')
  check((await page.evaluate(() => [...tops])).length === 1, `still: the scores were at ${await page.evaluate(() => [...tops])}`)
  await page.click('#cancel')
  check(await until(page, () => getComputedStyle(document.querySelector('#scores')).opacity === '1'), 'still: the answer stands again')

  await page.click('#tabs [data-tab="compare"]')
  await compared(page)
  const before = await topOf(page, '#compare .result')
  await page.click('#beside-other')
  await enter(page, `${elsewhere.url}/slow.gguf`)
  check(await until(page, () => document.querySelector('.second .facts').textContent.includes(' / ')), 'still: B on its way')
  await pause(300)
  check((await page.$eval('#compare .result', (result) => getComputedStyle(result).opacity)) < 1, 'still: the old result fades')
  check((await topOf(page, '#compare .result')) === before, 'still: the old result stays where it was')
  await page.click('#beside-cancel')
  check(await visible(page, '#beside-again') && await page.evaluate(() => document.activeElement.id === 'beside-again'), 'still: B can be tried again')
  await page.click('#beside-again')
  check(await until(page, () => document.querySelector('.second .facts').textContent.includes(' / ')) && await visible(page, '#beside-cancel'), 'still: B once more')
  await page.click('#beside-same')
  check(await compared(page) && !(await visible(page, '#beside-again')), 'still: the same model as B')
  await close('still')

  const broken = await openPage(`${bare}#compare`, { quiet: true })
  await compared(broken.page)
  await broken.page.click('#beside-other')
  await enter(broken.page, `${elsewhere.url}/none.gguf`)
  check(await noticed(broken.page, 'error.404') && await visible(broken.page, '#beside-again'), 'still: B cannot be had, and can be tried again')
  await broken.close('still, broken')
}

// Nobody is shut out of what is there only after something was done.
async function testAccess(base) {
  const { page, close } = await openPage(base, { width: 360, height: 740, quiet: true })
  await answered(page, 'cat')
  await page.evaluate(axe())
  const sound = async (where) => {
    await page.evaluate(() => Promise.all(document.getAnimations().map((one) => one.finished.catch(() => {}))))
    const found = await page.evaluate(async () => (await globalThis.axe.run(document)).violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(' '))}`))
    check(!found.length, `access: ${where}: ${found}`)
  }
  for (const tab of ['classify', 'look', 'fill', 'teach', 'find', 'compare']) {
    await page.click(`#tabs [data-tab="${tab}"]`)
    if (tab === 'compare') await compared(page)
    if (tab === 'fill') await until(page, () => document.querySelector('#fill .controls').checkVisibility())
    await sound(`${tab}, after the tabs before it`)
  }
  await page.click('#tabs [data-tab="classify"]')
  await drop(page, sample('cat'), sample('coffee'), encoded('broken.jpg', 'image/jpeg', 'no picture'))
  await until(page, (label) => document.querySelector('#batch header button')?.textContent === label, words['batch.close'])
  await sound('a table')
  await drop(page, encoded('notes.txt', 'text/plain', 'words'))
  await noticed(page, 'error.not-picture')
  await sound('a notice')
  await page.click('#model-button')
  await sound('the drawer')
  await close('access')
}

const columnsOf = (page) => page.$$eval('#classes > li', (all) => all.map((item) => Math.round(item.getBoundingClientRect().left)))
const addClasses = async (page, ...names) => {
  for (const name of names) {
    await page.type('#class-name', name)
    await page.keyboard.press('Enter')
  }
}

// A control that has the focus, and the picture, on a screen of this height.
async function seeBoth(page, selector, picture, height) {
  await page.focus(selector)
  await pause(100)
  const seen = await page.evaluate((selector, picture) => {
    const [control, stage] = [selector, picture].map((one) => document.querySelector(one).getBoundingClientRect())
    const at = document.elementFromPoint(control.left + control.width / 2, control.top + control.height / 2)
    return { isUncovered: at === document.querySelector(selector), top: stage.top, bottom: stage.bottom }
  }, selector, picture)
  check(seen.isUncovered && seen.top >= 0 && seen.bottom <= height, `stage: ${selector} and the picture are seen: ${JSON.stringify(seen)}`)
}

// What is looked at, filled in or taught stays in sight of its controls.
async function testStage(bare, browserName) {
  const { page, close } = await openPage(`${bare}#teach`, { width: 360, height: 740 })
  await until(page, () => document.querySelector('#picture').naturalWidth > 0)
  await addClasses(page, 'one', 'two', 'three')
  check(new Set(await columnsOf(page)).size === 1, 'stage: on a phone, classes stand below one another')
  check(await page.$eval('.thumbs', (strip) => strip.getBoundingClientRect().height === 0), 'stage: no strip without examples')
  await page.evaluate(() => scrollTo(0, document.body.scrollHeight))
  const shutter = '#classes li:nth-child(3) .hold'
  if (browserName === 'chromium') {
    await page.focus(shutter)
    await page.keyboard.press('Enter')
    await until(page, () => document.querySelector('#viewfinder').videoWidth > 0)
  }
  await page.focus('#probe-load')
  for (const selector of [shutter, '#classes li:nth-child(1) .hold', '#class-name']) await seeBoth(page, selector, browserName === 'chromium' ? '#viewfinder' : '#picture', 740)
  await page.click('#tabs [data-tab="fill"]')
  await until(page, () => document.querySelector('#fill .controls').checkVisibility())
  for (const selector of ['#share', '#fill-truth', '#fill-save']) await seeBoth(page, selector, '#picture', 740)
  await close('stage')

  const wide = await openPage(`${bare}#teach`, { width: 1440, height: 600 })
  await until(wide.page, () => document.querySelector('#picture').naturalWidth > 0)
  await addClasses(wide.page, 'one', 'two', 'three')
  check(new Set(await columnsOf(wide.page)).size === 3, `stage: classes are columns: ${await columnsOf(wide.page)}`)
  await wide.page.evaluate(() => scrollTo(0, 200))
  check(await wide.page.evaluate(() => scrollY > 60 && document.querySelector('#stage').getBoundingClientRect().top >= 0), 'stage: it stays beside the panel')
  await wide.close('stage, wide')
}

// A model of this host that a link names and that is not there: the page answers, and says so.
async function testMissing(bare) {
  const { page, close } = await openPage(`${bare}#classify?model=${encodeURIComponent(`${bare}none.gguf`)}`, { quiet: true })
  check(await answered(page, 'cat') && await noticed(page, 'error.404'), `missing: the built-in model answers: ${await text(page, '#panel')}`)
  check(!(await visible(page, '#invite')) && !page.url().includes('model='), `missing: the link is ${page.url()}`)
  await close('missing')
}

async function testFrame(bare, browserName) {
  for (const [width, tab] of [[320, 'classify'], [360, 'classify'], [900, 'teach'], [1000, 'find'], [1200, 'teach']]) {
    const { page, close } = await openPage(bare, { width, height: 740 })
    await answered(page, 'cat')
    check(width > 480 || await page.$eval('#model-button .name', (name) => name.scrollWidth <= name.clientWidth), `frame: ${width} px: the model's name is cut`)
    await page.click(`#tabs [data-tab="${tab}"]`)
    const rows = await page.$$eval('.tools button', (all) => all.map((button) => button.offsetTop))
    check(new Set(rows).size === 1, `frame: ${width} px, ${tab}: the tools are in rows at ${rows}`)
    await close(`frame, ${width} px`)
  }
  const { page, close } = await openPage(bare, { width: 1440, height: 900 })
  await answered(page, 'cat')
  const gap = await page.evaluate(() => document.querySelector('#scores').getBoundingClientRect().top - document.querySelector('.top-label').getBoundingClientRect().bottom)
  check(gap > 8 && gap < 24, `frame: ${gap} px between the answer and its bars`)
  const bars = () => page.$$eval('meta[name="theme-color"]', (all) => all.map(({ content }) => content).join())
  const before = await bars()
  await page.click('#theme')
  const ground = await page.evaluate(() => getComputedStyle(document.body).backgroundColor)
  check((await bars()) === `${ground},${ground}` && !before.includes(ground), `frame: the browser's bars are ${await bars()}, the page ${ground}`)
  await page.click('#model-button')
  const size = (statSync(join(root, 'wasm/models/classify.gguf')).size / 1e6).toFixed(1)
  check((await text(page, '#model-list')).includes(`${size} MB · MIT`), `frame: the built-in model has ${size} MB: ${await text(page, '#model-list li')}`)
  await page.click('#drawer-close')
  if (browserName === 'chromium') {
    const client = await page.createCDPSession()
    await client.send('Emulation.setEmulatedMedia', { features: [{ name: 'forced-colors', value: 'active' }] })
    const faint = await page.evaluate((selectors) => selectors.filter((selector) => {
      const element = document.querySelector(selector)
      return getComputedStyle(element).backgroundColor === getComputedStyle(document.body).backgroundColor
        || /^rgba.* 0\)$/.test(getComputedStyle(element).backgroundColor)
    }), ['.scores .bar i', '.parts i', '.dot', '.tabs [aria-current]', '.chips :checked + span', '#grid'])
    check(!faint.length, `frame: not seen where colours are forced: ${faint}`)
  }
  await close('frame')
}

// Drawings, which browsers decode only to show them.
async function testDrawings(bare) {
  const { page, close } = await openPage(bare)
  await answered(page, 'cat')
  const circle = '<circle cx="50%" cy="50%" r="40%" fill="#00a"/></svg>'
  for (const [name, size] of [['sized.svg', 'width="64" height="48"'], ['boxed.svg', 'viewBox="0 0 200 100"'], ['bare.svg', '']]) {
    await drop(page, encoded(name, 'image/svg+xml', `<svg xmlns="http://www.w3.org/2000/svg" ${size}>${circle}`))
    check(await answered(page, name) && !(await visible(page, '#notice')), `drawings: ${name}: ${await text(page, '#notice')}`)
  }
  await page.click('#tabs [data-tab="look"]')
  await until(page, () => document.querySelector('#steps').checkVisibility())
  await page.click('#steps summary')
  check(await until(page, () => document.querySelector('#steps canvas')), 'drawings: step by step')
  await close('drawings')
}

export async function testSight(base, bare, elsewhere, browserName) {
  await testBars(base)
  await testNames(bare)
  await testOneLayer(bare)
  await testStill(bare, elsewhere)
  await testAccess(bare)
  await testStage(bare, browserName)
  await testMissing(bare)
  await testFrame(bare, browserName)
  await testDrawings(bare)
}
