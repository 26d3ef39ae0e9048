// The demo page's tabs beside Classify, as a visitor uses them.

import { join } from 'node:path'
import { answered, check, drop, openPage, sample, text, tiny, until, visible } from './visit.mjs'
import words from '../../web/words/en.js'

const compared = (page, types) => until(page, (wanted) => !document.querySelector('#compare .result').hidden
  && document.querySelector('#compare .result').getAttribute('aria-busy') === 'false'
  && [...document.querySelectorAll('.side .facts')].map((one) => one.textContent.split(' ')[0]).join() === wanted
  && [...document.querySelectorAll('.side .ms')].every((one) => / ms$/.test(one.textContent)), types)

async function testCompare(base) {
  const { page, foreign, close } = await openPage(`${base}#compare?sample=coffee`)
  check(await compared(page, 'f32,int8'), 'compare: f32 and int8 answer')
  check((await text(page, '#caption .file')).startsWith('coffee.jpg') && !(await visible(page, '#classify')), 'compare: the link opens tab and sample')
  check((await page.title()).startsWith(words['tab.compare']), 'compare: the title names the tab')
  const rows = () => page.$$eval('#compare tbody tr', (all) => all.map((row) => [...row.children].map((cell) => cell.textContent)))
  const differs = (await rows()).some(([, a, b]) => a !== b)
  check((await rows()).length >= 5 && differs, `compare: f32 and int8 differ a little: ${JSON.stringify(await rows())}`)
  check(/[0-9.]+ percentage points/.test(await text(page, '#compare .difference')), `compare: ${await text(page, '#compare .difference')}`)

  await page.focus('#beside-compute [value="int8"]')
  await page.keyboard.press('ArrowLeft')
  check(await compared(page, 'f32,f32'), 'compare: the same twice')
  check((await text(page, '#compare .difference')).includes(': 0.00 '), `compare: the same twice: ${await text(page, '#compare .difference')}`)
  check(page.url().includes('beside=f32'), `compare: the link is ${page.url()}`)

  await page.click('#beside-other')
  check((await text(page, '#drawer-title')) === words['drawer.beside'], 'compare: the drawer says what for')
  const [input] = await page.$$('#model-input')
  await input.uploadFile(join(tiny, 'config.json'), join(tiny, 'model.safetensors'))
  check(await until(page, () => !document.querySelector('#beside-same').hidden) && await compared(page, 'f32,f32'), 'compare: another model, from files')
  check((await text(page, '#compare .difference')).includes(': 0.00 '), 'compare: another model, which is the same')
  await page.click('#beside-same')
  check(await compared(page, 'f32,int8'), 'compare: back to the same model')
  await page.click('#measure')
  check(await compared(page, 'f32,int8'), 'compare: timed again')
  await drop(page, sample('horse'))
  check(await until(page, () => document.querySelector('#caption .file').textContent.startsWith('my horse')) && await compared(page, 'f32,int8'), 'compare: a picture that was dropped')

  await page.click('#tabs [data-tab="classify"]')
  check(await answered(page, 'my horse.jpg') && !(await visible(page, '#compare')), 'tabs: the picture comes along')
  check(page.url().includes('#classify'), `tabs: the link is ${page.url()}`)
  await page.focus('#tabs [data-tab="compare"]')
  await page.keyboard.press('Enter')
  check(await compared(page, 'f32,int8'), 'tabs: by keyboard')
  check(!foreign().length, `compare: requests to ${foreign()}`)
  await close('compare')

  const broken = await openPage(`${base}#compare`, { quiet: true })
  await compared(broken.page, 'f32,int8')
  await drop(broken.page, { name: 'broken.jpg', type: 'image/jpeg', bytes: '' })
  check(await until(broken.page, (title) => document.querySelector('#notice h2')?.textContent === title, words['error.picture.title']), 'compare: a broken picture is refused')
  check(!(await visible(broken.page, '#compare .result')), 'compare: a broken picture leaves no old answer')
  await broken.close('compare, broken')
}

export async function testTabs(base) {
  await testCompare(base)
}
