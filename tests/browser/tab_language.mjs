// The demo page in another language, and at another link: both are taken where one is, and nothing that was made is lost.

import { join } from 'node:path'
import { answered, block, check, drop, fileOf, noticed, openPage, root, sample, text, until, visible } from './visit.mjs'
import english from '../../web/words/en.js'
import korean from '../../web/words/ko.js'

const plain = (line) => line.replace(/\[\[(?:\w+\|)?([^\]]+)\]\]/g, '$1').replaceAll('\u00a0', ' ')
const filled = (words, key, values) => plain(words[key]).replace(/\{(\w+)\}/g, (_, name) => values[name])

// Lines of `words` that are not those of `others`, as patterns of what is seen; those that are hardly more than what is filled in
// would be found everywhere.
const patterns = (words, others) => Object.entries(words).filter(([key, line]) => line !== others[key] && /\p{L}{2}/u.test(line.replace(/\{\w+\}/g, '')))
  .map(([, line]) => new RegExp(`^${plain(line).split(/\{\w+\}/).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('.+')}$`, 'u'))
const ENGLISH = patterns(english, korean), KOREAN = patterns(korean, english)

// What a visitor, or a screen reader, gets to know.
const texts = (page) => page.evaluate(() => {
  const seen = [...document.querySelectorAll('body *')].filter((one) => one.id !== 'language' && one.checkVisibility())
  const names = seen.flatMap((one) => ['aria-label', 'title', 'alt'].map((name) => one.getAttribute(name)))
  const read = seen.flatMap((one) => [...one.childNodes].filter(({ nodeType }) => nodeType === 3).map((node) => node.data))
  return [document.title, ...names, ...read].filter(Boolean).map((one) => one.trim().replaceAll('\u00a0', ' ')).filter(Boolean)
})
const left = async (page, patterns) => (await texts(page)).filter((one) => patterns.some((pattern) => pattern.test(one)))

async function turn(page, words, what) {
  await page.click('#language')
  const title = words['tab.classify']
  check(await until(page, (title) => document.querySelector('#tabs a').textContent === title, title), `language: ${what}: it is another`)
  check((await page.evaluate(() => document.documentElement.lang)) === (words === korean ? 'ko' : 'en'), `language: ${what}: the document says so`)
  const others = words === korean ? ENGLISH : KOREAN
  for (let i = 0; i < 50 && (await left(page, others)).length; i++) await new Promise((done) => setTimeout(done, 100)) // an answer is on its way
  const found = await left(page, others)
  check(!found.length, `language: ${what}: words of the other one are left: ${found.join(' | ')}`)
  check(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `language: ${what}: it scrolls sideways`)
}

const both = async (page, what) => {
  await turn(page, korean, what)
  await turn(page, english, what)
}

export async function testLanguage(base) {
  const { page, foreign, close } = await openPage(`${base}#classify?model=built-in`, { width: 360, height: 740, quiet: true })
  check(await answered(page, 'cat.jpg') && (await text(page, '#model-button .name')) === english['model.built-in'], 'language: the model of the engine')
  check((await page.evaluate(() => document.documentElement.lang)) === 'en', 'language: English at first')
  await both(page, 'a sample')
  await drop(page, fileOf(join(root, 'wasm/models/classify.gguf'), 'mine.gguf'))
  await until(page, (name) => document.querySelector('#model-button .dot').hasAttribute('data-on') && ![name, ''].includes(document.querySelector('#model-button .name').textContent)
    && document.querySelector('#loading').hidden, english['model.built-in'])
  const model = await text(page, '#model-button .name')
  await drop(page, sample('cat'), sample('horse'), fileOf(join(root, 'package.json'), 'my notes.txt'))
  check(await until(page, (label) => document.querySelector('#batch header button')?.textContent === label, english['batch.close']), 'language: a table')
  await page.click('#batch th:nth-child(2) button')
  const names = () => page.$$eval('#batch tbody td:first-child', (all) => all.map((cell) => cell.textContent).join())
  await turn(page, korean, 'a table and a notice')
  check((await names()).split(',').sort().join() === 'my cat.jpg,my horse.jpg' && (await text(page, '#batch tbody')).includes(korean['label.cat']), `language: the table stays, in Korean: ${await text(page, '#batch')}`)
  check((await text(page, '#notice h2')) === korean['passed.title'], 'language: the notice stays')
  check((await text(page, '#model-button .name')) === model, 'language: the model of a file stays')
  check((await text(page, '#caption .file')).startsWith('my cat.jpg'), 'language: the picture stays')
  const narrow = await page.$$eval('#tabs a, .top button', (all) => all.filter((one) => one.checkVisibility() && one.getBoundingClientRect().width < 24).map((one) => one.id))
  check(!narrow.length, `language: no room for ${narrow}`)
  await turn(page, english, 'a table')
  check((await text(page, '#batch tbody')).includes(english['label.cat']), 'language: the table in English again')

  await page.click('#tabs [data-tab="teach"]')
  for (const name of ['warm', 'dark']) {
    await page.type('#class-name', name)
    await page.keyboard.press('Enter')
  }
  for (const [i, names] of [['cat', 'coffee'], ['rocket', 'camera']].entries()) {
    const inputs = await page.$$('#classes input[type=file]')
    await inputs[i].uploadFile(...names.map((name) => join(root, `web/samples/${name}.jpg`)))
  }
  check(await until(page, () => document.querySelectorAll('#classes .thumbs canvas').length === 4 && document.querySelector('#classes [data-best]')), 'language: classes are taught')
  await both(page, 'taught classes')
  check((await page.$$('#classes .thumbs canvas')).length === 4 && await until(page, () => document.querySelector('#classes [data-best] .value').textContent), 'language: they stay, and answer')
  for (const tab of ['look', 'fill', 'find', 'compare']) {
    await page.click(`#tabs [data-tab="${tab}"]`)
    await until(page, (tab) => document.querySelector(`#${tab} :is(.controls, .empty, .result)`).checkVisibility(), tab)
    if (tab === 'look') await page.click('#learnt summary')
    if (tab === 'look') await page.click('#steps summary')
    await both(page, tab)
  }
  await page.reload()
  await page.waitForFunction(() => document.documentElement.dataset.ready === '')
  check((await text(page, '#tabs a')) === english['tab.classify'], 'language: it is remembered')
  check(!foreign().length, `language: requests to ${foreign()}`)
  await close('language')
}

// The browser says which language; where its words cannot be had, it is English, also for screen readers and numbers.
export async function testBrowserLanguage(base) {
  const speaks = (page) => page.evaluateOnNewDocument(() => Object.defineProperty(navigator, 'languages', { value: ['fr-FR', 'ko-KR', 'en'] }))
  const korea = await openPage(base, { prepare: speaks })
  check((await korea.page.evaluate(() => document.documentElement.lang)) === 'ko' && (await text(korea.page, '#choose')) === korean.choose, 'language: the first of the browser that there is')
  await korea.close('language of the browser')
  const { page, close } = await openPage(base, { quiet: true, prepare: async (page) => (await speaks(page), block(page, /words\/ko\.js/)) })
  check((await page.evaluate(() => document.documentElement.lang)) === 'en' && (await text(page, '#choose')) === english.choose, 'language: English where the words of another cannot be had')
  check((await page.$eval('#language', (button) => button.lang)) === 'ko', 'language: and that one can be tried again')
  await close('language that cannot be had')
}

// Another link of this page, opened in it.
export async function testLinks(base) {
  const { page, close } = await openPage(`${base}#classify?sample=horse`, { quiet: true })
  await answered(page, 'horse.jpg')
  await page.evaluate(() => { globalThis.isThisPage = true })
  await drop(page, sample('coffee'))
  await answered(page, 'my coffee.jpg')
  const go = (hash) => page.evaluate((hash) => { location.hash = hash }, hash)
  await go('look?layer=1')
  check(await until(page, (line) => document.querySelector('#look .how').textContent === line, filled(english, 'look.says.rollout', { layer: 1 })), 'link, opened in the page: its tab and layer')
  check((await text(page, '#caption .file')).startsWith('my coffee.jpg'), 'link, opened in the page: the picture stays')
  await go('fill?share=25&seed=3')
  check(await until(page, () => document.querySelector('#share-number').textContent.startsWith('25.0') && document.querySelector('#fill .controls').checkVisibility()), 'link, opened in the page: what is hidden')
  await go('classify?sample=rocket&compute=int8')
  check(await answered(page, 'rocket.jpg') && await until(page, () => document.querySelector('#runs dd:nth-of-type(5)').textContent === 'int8'), 'link, opened in the page: sample and arithmetic')
  check(page.url().includes('layer=1') && page.url().includes('share=25'), `link, opened in the page: what it does not name stays: ${page.url()}`)
  await go(`classify?model=${encodeURIComponent('https://example.com/model.gguf')}`)
  check(await noticed(page, 'ask'), 'link, opened in the page: it asks before another site is asked')
  check(await page.evaluate(() => globalThis.isThisPage) && await visible(page, '#answer'), 'link, opened in the page: the page is not loaded again')
  await close('link, opened in the page')
}

// What a link says wrongly is as if it were not said.
export async function testWrongLinks(base) {
  const wrong = 'sample=x&compute=f16&model=garbage&other=garbage&layer=99&see=foo&share=200&seed=-1&mask=zz&grid=9&beside=x'
  const { page, foreign, close } = await openPage(`${base}#nowhere?${wrong}`)
  check(await answered(page, 'cat.jpg') && (await page.title()).startsWith(english['tab.classify']), `wrong link: the first tab and sample: ${await page.title()}`)
  check((await text(page, '#runs dd:nth-of-type(5)')) === 'f32' && !(await visible(page, '#notice')), `wrong link: nothing is asked: ${await text(page, '#notice')}`)
  await page.click('#tabs [data-tab="look"]')
  check(await until(page, (line) => document.querySelector('#look .how').textContent === line, filled(english, 'look.says.rollout', { layer: 2 })), `wrong link: layer and head: ${await text(page, '#look .how')}`)
  check((await page.$eval('#heads input:checked', (input) => input.value)) === 'rollout', 'wrong link: what is chosen')
  await page.click('#tabs [data-tab="fill"]')
  check(await until(page, () => document.querySelector('#fill .controls').checkVisibility()) && (await text(page, '#share-number')) === '50.0 %'
    && (await page.$eval('#fill-grid input:checked', (input) => input.value)) === '1', `wrong link: what is hidden: ${await text(page, '#share-number')}`)
  await page.click('#tabs [data-tab="compare"]')
  check(await until(page, () => document.querySelector('#compare .result').checkVisibility()) && (await page.$eval('#beside-compute input:checked', (input) => input.value)) === 'int8', 'wrong link: B')
  check(!foreign().length, `wrong link: requests to ${foreign()}`)
  await close('wrong link')
}
