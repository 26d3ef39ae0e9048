// The demo page's tabs beside Classify, as a visitor uses them.

import { join } from 'node:path'
import { axe } from './launch.mjs'
import { testFill } from './tab_fill.mjs'
import { testFind } from './tab_find.mjs'
import { testBrowserLanguage, testLanguage, testLinks, testWrongLinks } from './tab_language.mjs'
import { answered, check, drop, encoded, fileOf, filled, noticed, openPage, root, sample, text, tiny, until, visible } from './visit.mjs'
import words from '../../web/words/en.js'
import korean from '../../web/words/ko.js'

const compared = (page, types) => until(page, (wanted) => !document.querySelector('#compare .result').hidden
  && document.querySelector('#compare .result').getAttribute('aria-busy') === 'false'
  && [...document.querySelectorAll('.side .facts')].map((one) => one.textContent.split(' ')[0]).join() === wanted
  && [...document.querySelectorAll('.side .ms')].every((one) => /\sms$/.test(one.textContent)), types)

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
  check(await until(page, () => !document.querySelector('#beside-same').disabled) && await compared(page, 'f32,f32'), 'compare: another model, from files')
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
  await page.click('#beside-other')
  await (await page.$('#model-input')).uploadFile(join(tiny, 'config.json'), join(tiny, 'model.safetensors'))
  check(await until(page, () => !document.querySelector('#beside-same').disabled) && await compared(page, 'f32,f32'), 'compare: another model once more')
  await page.evaluate(() => {
    globalThis.loads = 0
    new MutationObserver(() => { loads += / \/ /.test(document.querySelector('.side.second .facts').textContent) }).observe(document.querySelector('.side.second .facts'), { childList: true })
  })
  await page.click('#tabs [data-tab="classify"]')
  check(await answered(page, 'my horse.jpg'), 'tabs: once more')
  await page.click('#tabs [data-tab="compare"]')
  check(await compared(page, 'f32,f32') && (await page.evaluate(() => loads)) === 0, 'compare: the other model is still there')
  check(!foreign().length, `compare: requests to ${foreign()}`)
  await close('compare')

  const link = await openPage(`${base}#compare?other=${encodeURIComponent(new URL('/model/model.safetensors', base).href)}&beside=int8`)
  check(await until(link.page, () => !document.querySelector('#beside-same').disabled) && await compared(link.page, 'f32,int8'), 'compare: a link with a model and its type')
  check(link.page.url().includes('beside=int8'), `compare: the link stays: ${link.page.url()}`)
  await link.close('compare, link')

  const broken = await openPage(`${base}#compare`, { quiet: true })
  await compared(broken.page, 'f32,int8')
  await drop(broken.page, { name: 'broken.jpg', type: 'image/jpeg', bytes: '' })
  check(await until(broken.page, (title) => document.querySelector('#notice h2')?.textContent === title, words['error.picture.title']), 'compare: a broken picture is refused')
  check(!(await visible(broken.page, '#compare .result')), 'compare: a broken picture leaves no old answer')
  await drop(broken.page, sample('cat'))
  await compared(broken.page, 'f32,int8')
  await broken.page.click('#beside-other')
  await drop(broken.page, { name: 'humble.gguf', type: '', bytes: Buffer.from('no model').toString('base64') })
  check(await until(broken.page, (title) => document.querySelector('#notice h2')?.textContent === title, words['error.format.title']), 'compare: a broken model is told as such, and is B')
  check(!(await visible(broken.page, '#drawer')) && (await broken.page.$$('#notice button')).length === 3, 'compare: and there are ways on')
  await broken.close('compare, broken')

  const asking = await openPage(`${base}#compare?other=${encodeURIComponent('https://example.com/model.gguf')}&beside=f32`, { quiet: true })
  check(await until(asking.page, (title) => document.querySelector('#notice h2')?.textContent === title, words['ask.title']), 'compare: a link to another site asks')
  await asking.page.click('[data-sample="horse"]')
  check(await until(asking.page, () => document.querySelector('#caption .file').textContent.startsWith('horse')), 'compare: another sample')
  check(await visible(asking.page, '#notice'), 'compare: the question stays')
  await asking.close('compare, asking')
}

// The button Paste, and cameras that cannot be had.
async function testRefused(base) {
  const { page, close } = await openPage(base)
  await answered(page, 'cat.jpg')
  const paste = async (kind) => {
    await page.evaluate((kind, { bytes }) => {
      const blob = new Blob([Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0))], { type: 'image/png' })
      const items = { picture: [{ types: ['text/html', 'image/png'], getType: async () => blob }], text: [{ types: ['text/plain'] }] }
      const read = async () => items[kind] ?? Promise.reject(new DOMException('no', 'NotAllowedError'))
      Object.defineProperty(navigator, 'clipboard', { value: kind === 'unknown' ? undefined : { read }, configurable: true })
    }, kind, sample('horse'))
    await page.click('#paste')
  }
  await paste('text')
  check(await noticed(page, 'error.clipboard'), `paste: text only: ${await text(page, '#notice')}`)
  await paste('refused')
  check(await noticed(page, 'error.paste-keys'), `paste: refused: ${await text(page, '#notice')}`)
  await paste('picture')
  check(await answered(page, words['picture.pasted']) && !(await visible(page, '#notice')), 'paste: a picture')
  await paste('unknown')
  check(await noticed(page, 'error.paste-keys'), 'paste: a browser that cannot')

  for (const [name, key] of [['NotAllowedError', 'camera'], ['NotFoundError', 'camera-none'], ['NotReadableError', 'camera'], ['OverconstrainedError', 'camera-none']]) {
    await page.evaluate((name) => { navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('so', name)) }, name)
    await page.click('#camera')
    check(await noticed(page, `error.${key}`), `camera: ${name}: ${await text(page, '#notice')}`)
  }
  await page.click('#tabs [data-tab="teach"]')
  await page.evaluate(() => Object.defineProperty(navigator, 'mediaDevices', { value: undefined })) // as on pages that came by http
  await addClass(page, 'warm')
  await page.keyboard.press('Enter')
  check(await noticed(page, 'error.camera-insecure'), `camera: by http: ${await text(page, '#notice')}`)
  await close('refused')
}

// What of the picture's patches is dark: the alpha of each on the canvas over it.
const looked = (page, words) => until(page, (start) => document.querySelector('#look .how').checkVisibility()
  && document.querySelector('#look .how').textContent === start, words)
const heat = (page) => page.evaluate(() => {
  const canvas = document.querySelector('#patches')
  const { width, height } = canvas
  return canvas.getContext('2d').getImageData(0, height >> 1, width, 1).data.join()
})

async function testLook(base, browserName) {
  const { page, foreign, close } = await openPage(`${base}#look?sample=coffee`)
  check(await looked(page, filled('look.says.rollout', { layer: 2 })), `look: the rollout: ${await text(page, '#look')}`)
  const says = () => page.$eval('#look .most', (element) => element.textContent)
  check(/ [0-9.<]+\s% /.test(await says()), `look: ${await says()}`)
  const rollout = await heat(page)
  check(new Set(rollout.split(',').filter((_, i) => i % 4 === 3)).size > 3, 'look: patches of several brightnesses')
  await page.focus('#layer')
  await page.keyboard.press('ArrowLeft')
  check(await looked(page, filled('look.says.rollout', { layer: 1 })), 'look: the layer slider, by keyboard')
  check((await heat(page)) !== rollout, 'look: another layer looks elsewhere')
  check(page.url().includes('layer=1'), `look: the link is ${page.url()}`)
  await page.focus('#heads input:checked')
  await page.keyboard.press('ArrowRight')
  check(await looked(page, filled('look.says.mean', { layer: 1 })), 'look: the mean of a layer')
  await page.keyboard.press('ArrowRight')
  check(await looked(page, filled('look.says.head', { layer: 1, head: 1 })), 'look: one head')
  const ofAnswer = await says()
  const box = await (await page.$('#patches')).boundingBox()
  await page.mouse.move(box.x + box.width * 0.4, box.y + box.height * 0.4)
  check(await until(page, (start) => document.querySelector('#look .most').textContent.startsWith(start), 'Patch '), 'look: a patch under the pointer')
  check((await text(page, '#caption .grid')).startsWith('patch '), 'look: the caption names it')
  await page.mouse.move(2, 2)
  check(await until(page, (before) => document.querySelector('#look .most').textContent === before, ofAnswer), 'look: without it, the answer again')
  await page.focus('#patches')
  await page.keyboard.press('ArrowUp')
  const first = await says()
  check(await until(page, () => /^Patch \d/.test(document.querySelector('#live').textContent)), 'look: a patch by keyboard is said')
  await page.keyboard.press('ArrowRight')
  check(await until(page, (before) => document.querySelector('#look .most').textContent !== before, first), 'look: the next patch')
  await page.keyboard.press('Escape')
  check(await until(page, (before) => document.querySelector('#look .most').textContent === before, ofAnswer), 'look: Escape leaves the patches')
  if (browserName === 'chromium') {
    await page.click('#camera')
    check(await until(page, () => document.querySelector('#viewfinder').videoWidth > 0), 'look: the camera')
    const before = await heat(page)
    check(await until(page, (before) => {
      const canvas = document.querySelector('#patches')
      return canvas.getContext('2d').getImageData(0, canvas.height >> 1, canvas.width, 1).data.join() !== before
    }, before), 'look: follows the camera')
    await page.click('#camera-off')
    check(await until(page, (before) => document.querySelector('#look .most').textContent === before, ofAnswer), 'look: after the camera the picture again')
  }
  await page.focus('#learnt summary')
  await page.keyboard.press('Enter')
  const learnt = (count) => until(page, (words) => document.querySelector('#learnt figure:last-child figcaption').innerText === words, filled('learnt.distance', { count }))
  check(await learnt(1), `look: what it has learnt: ${await text(page, '#learnt')}`)
  const [filters, positions] = await page.$$eval('#learnt canvas', (all) => all.map(({ width, height }) => [width, height]))
  check(`${filters}; ${positions}` === `${[7 * 9 - 1, 4 * 9 - 1]}; ${[4 * 5 - 1, 4 * 5 - 1]}`, `look: filters and positions of ${filters}, ${positions}`)
  const heads = () => page.$$eval('#learnt circle', (all) => all.map((one) => one.getAttribute('cx') + ' ' + one.getAttribute('cy')).join())
  const distances = await heads()
  check(distances.split(',').length === 6 && (await page.$$('#learnt polyline')).length === 1, `look: distances of heads: ${distances}`)
  await drop(page, sample('rocket'), encoded('broken.jpg', 'image/jpeg', 'no picture'), sample('cat'))
  check(await learnt(3), `look: distances of all pictures that can be read: ${await text(page, '#learnt figure:last-child figcaption')}`)
  check((await heads()) !== distances && (await text(page, '#caption .file')).startsWith('my rocket'), 'look: they change, and the first picture is seen')
  await page.focus('#patches')
  await page.keyboard.press('ArrowUp')
  check(await visible(page, '#learnt i'), 'look: the chosen patch is marked among the positions')
  await page.keyboard.press('Escape')
  check(!(await visible(page, '#learnt i')), 'look: and no longer')
  await page.click('[data-sample="coffee"]')

  await page.click('#tabs [data-tab="classify"]')
  check(await answered(page, 'coffee.jpg'), 'look: the picture goes to the next tab')
  check(!foreign().length, `look: requests to ${foreign()}`)
  await close('look')

  const { page: resnet, close: closeResnet } = await openPage(`${base}#look`)
  await looked(resnet, filled('look.says.rollout', { layer: 2 }))
  const bit = (name) => fileOf(join(root, 'tests/golden/bit/timm', name), name)
  await drop(resnet, bit('config.json'), bit('model.safetensors'))
  check(await until(resnet, (title) => document.querySelector('#notice h2')?.textContent === title, words['error.no-attention.title']), 'look: a ResNet has no attention')
  check(!(await visible(resnet, '#look .how')), 'look: a ResNet leaves no controls')
  await closeResnet('look, ResNet')

  const other = await openPage(`${base}#look`)
  check(await looked(other.page, filled('look.says.rollout', { layer: 2 })), 'look: before another model')
  await other.page.click('#tabs [data-tab="classify"]')
  await until(other.page, () => document.querySelector('#look').hidden)
  await other.page.$eval('#heads legend', (legend) => legend.setAttribute('data-before', ''))
  const model = (name) => fileOf(join(tiny, name), name)
  await drop(other.page, model('config.json'), model('model.safetensors'))
  check(await until(other.page, () => !document.querySelector('#heads [data-before]')), 'look: knows of another model')
  check(!(await visible(other.page, '#look')), 'look: another model leaves the tab closed')
  await other.close('look, another model')

  const link = await openPage(`${base}#look?see=2&layer=2`)
  check(await looked(link.page, filled('look.says.head', { layer: 2, head: 2 })), 'look: a link with layer and head')
  await link.close('look, link')
}

const addClass = async (page, name) => {
  await page.type('#class-name', name)
  await page.keyboard.press('Enter')
}
const dropOn = (page, label, ...files) => page.evaluate((label, list) => {
  const transfer = new DataTransfer()
  for (const { name, type, bytes } of list) transfer.items.add(new File([Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0))], name, { type }))
  const item = [...document.querySelectorAll('#classes > li')].find((one) => one.dataset.label === label)
  for (const kind of ['dragenter', 'dragover', 'drop']) item.querySelector('h3').dispatchEvent(new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true }))
}, label, files)
const counted = (page, ...wanted) => until(page, (wanted) => [...document.querySelectorAll('#classes .count')].map((one) => parseInt(one.textContent)).join() === wanted, wanted.join())
const says = (page, label) => until(page, (wanted) => document.querySelector('#teach .verdict').textContent === wanted, filled('teach.says', { label }))

async function testTeach(base, browserName) {
  const { page, foreign, close } = await openPage(`${base}#teach?sample=horse`)
  await until(page, () => document.querySelector('#runs') && document.querySelector('#model-button .dot').hasAttribute('data-on'))
  await page.click('#class-form button')
  check((await text(page, '#class-problem')) === words['teach.nameless'], 'teach: a class without a name')
  await addClass(page, 'warm')
  await addClass(page, 'warm')
  check((await text(page, '#class-problem')) === words['teach.twice'], 'teach: a class twice')
  await page.$eval('#class-name', (input) => { input.value = '' })
  await addClass(page, 'dark')
  await dropOn(page, 'warm', sample('cat'), sample('coffee'))
  check(await counted(page, 2, 0), 'teach: pictures dropped on a class')
  const input = (await page.$$('#classes input[type=file]'))[1]
  await input.uploadFile(...['rocket', 'camera'].map((name) => join(root, `web/samples/${name}.jpg`)))
  check(await counted(page, 2, 2), 'teach: pictures from files')
  check((await page.$$('#classes .thumbs canvas')).length === 4, 'teach: a thumbnail of each')
  check(await until(page, () => /^[0-9.]+\s% .*: \d of 4 /.test(document.querySelector('#teach .accuracy').textContent)), `teach: leave-one-out: ${await text(page, '#teach .accuracy')}`)
  for (const [name, label] of [['coffee', 'warm'], ['rocket', 'dark']]) {
    await page.click(`[data-sample="${name}"]`)
    check(await says(page, label), `teach: ${name} is ${label}: ${await text(page, '#teach')}`)
  }
  check(await until(page, () => document.querySelectorAll('#classes .value')[1].textContent > '0'), 'teach: scores')
  await dropOn(page, 'dark', { name: 'broken.jpg', type: 'image/jpeg', bytes: '' }, sample('horse'))
  check(await counted(page, 2, 3), 'teach: a broken picture is left out, the next one is not')
  check(await visible(page, '#notice'), 'teach: a broken picture is told')
  for (const compute of ['int8', 'f32']) {
    await page.$eval(`#compute [value="${compute}"]`, (radio) => radio.click())
    check(await until(page, (compute) => document.querySelector('#foot-runs').textContent.includes(compute), compute), `teach: ${compute}`)
    check(await counted(page, 2, 3), `teach: ${compute} is taught with the same pictures`)
    check((await page.$$('#classes .thumbs canvas')).length === 5, `teach: their thumbnails with ${compute}`)
  }
  await page.focus('#classes .thumbs button')
  check(await until(page, () => document.querySelector('#teach .verdict').textContent), 'teach: it answers again')

  await page.evaluate(() => {
    const make = URL.createObjectURL.bind(URL)
    URL.createObjectURL = (blob) => {
      globalThis.saved = blob
      return make(blob)
    }
    HTMLAnchorElement.prototype.click = () => {}
  })
  await page.click('#probe-save')
  check(await until(page, () => globalThis.saved?.size > 100), 'teach: downloaded')
  await page.click('#classes .thumbs li:first-child button')
  check(await counted(page, 1, 3), 'teach: an example is removed')
  await page.click('#classes header button')
  check(await counted(page, 3) && (await text(page, '#teach .accuracy')) === words['teach.more'], 'teach: a class is removed')
  await page.evaluate(() => {
    const input = document.querySelector('#probe-input')
    const transfer = new DataTransfer()
    transfer.items.add(new File([saved], 'classes.safetensors'))
    input.files = transfer.files
    input.dispatchEvent(new Event('change'))
  })
  check(await counted(page, 2, 3) && await says(page, 'dark'), 'teach: loaded, it answers as before')
  await page.evaluate(() => {
    const input = document.querySelector('#probe-input')
    const transfer = new DataTransfer()
    transfer.items.add(new File(['no such thing'], 'classes.safetensors'))
    input.files = transfer.files
    input.dispatchEvent(new Event('change'))
  })
  check(await until(page, (title) => document.querySelector('#notice h2')?.textContent === title, words['error.probe.title']), 'teach: a file that is none')
  check(await counted(page, 2, 3), 'teach: then all is as before')
  await page.click('#classes header button')
  await page.click('#tabs [data-tab="classify"]')
  await page.evaluate(() => {
    const transfer = new DataTransfer()
    transfer.items.add(new File([saved], 'classes.probe')) // as vit fewshot calls it
    document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: transfer, bubbles: true, cancelable: true }))
  })
  check(await counted(page, 2, 3) && await visible(page, '#teach') && await says(page, 'dark'), 'teach: a file of classes that was dropped')

  if (browserName === 'chromium') {
    await addClass(page, 'live')
    await page.keyboard.press('Enter') // the new class's button has the focus: it starts the camera
    check(await until(page, () => document.querySelector('#viewfinder').videoWidth > 0), 'teach: the camera')
    const examples = () => page.$$eval('#classes .count', (all) => parseInt(all[2].textContent))
    await page.$eval('#classes > li:last-child .hold', (button) => button.click()) // as voice control does
    check(await until(page, () => parseInt(document.querySelectorAll('#classes .count')[2].textContent) === 1), 'teach: a click takes an example')
    await new Promise((done) => setTimeout(done, 600))
    check((await examples()) === 1, `teach: one, not ${await examples()}`)
    await page.focus('#classes > li:last-child .hold')
    await page.keyboard.down('Enter')
    check(await until(page, () => parseInt(document.querySelectorAll('#classes .count')[2].textContent) > 2), 'teach: a button that is held')
    await page.keyboard.up('Enter')
    check(await says(page, 'live'), `teach: live prediction: ${await text(page, '#teach .verdict')}`)
    const button = await (await page.$$('#classes .hold'))[2].boundingBox()
    const before = await examples()
    await page.mouse.move(button.x + 5, button.y + 5)
    await page.mouse.down()
    check(await until(page, (before) => parseInt(document.querySelectorAll('#classes .count')[2].textContent) > before + 1, before), 'teach: held by pointer')
    await page.mouse.up()
    await page.click('#camera-off')
    check(await says(page, 'dark'), 'teach: after the camera the picture again')
  }
  await page.$eval('#compute [value="int8"]', (radio) => radio.click())
  check(await noticed(page, 'error.examples-lost'), 'teach: examples of a file are of one model, which is told')
  check(!foreign().length, `teach: requests to ${foreign()}`)
  await close('teach')
}

// What every tab owes: it fits, its controls have names, and nobody is shut out of it in light or in dark.
async function testFit(base) {
  const script = axe()
  for (const tab of ['classify', 'look', 'fill', 'teach', 'find', 'compare']) {
    const { page, close } = await openPage(`${base}#${tab}`, { width: 360, height: 740 })
    await until(page, () => document.querySelector('#model-button .dot').hasAttribute('data-on'))
    check((await page.evaluate(() => scrollY)) === 0, `${tab}: a link to it shows the top of the page`)
    if (tab === 'classify') {
      await drop(page, sample('cat'), sample('horse'))
      await until(page, (label) => document.querySelector('#batch header button')?.textContent === label, words['batch.close'])
    }
    if (tab === 'teach') await addClass(page, 'averylongnamewithoutabreak'.repeat(3))
    if (tab === 'look') {
      await until(page, () => document.querySelector('#learnt').checkVisibility())
      await page.click('#learnt summary')
      await until(page, () => !document.querySelector('#learnt figure:last-child').hidden)
    }
    if (tab === 'fill') await until(page, () => document.querySelector('#fill .controls').checkVisibility())
    if (tab === 'find') {
      await drop(page, sample('cat'), sample('horse'))
      await until(page, () => document.querySelectorAll('#tiles li').length === 2)
    }
    await new Promise((done) => setTimeout(done, 300))
    check(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${tab}: 360 px scroll sideways`)
    const nameless = await page.$$eval('button, a, input:not([hidden]), canvas[tabindex], progress', (all) => all.filter((element) =>
      !(element.textContent.trim() || element.getAttribute('aria-label') || element.querySelector('img[alt]') || element.labels?.length)).map((element) => element.outerHTML))
    check(await page.$eval('#tabs [aria-current]', (link) => link.getBoundingClientRect().right <= innerWidth && link.getBoundingClientRect().left >= 0), `${tab}: the open tab is seen`)
    check(!nameless.length, `${tab}: names for screen readers: none for ${nameless}`)
    await page.evaluate(script)
    for (const theme of ['light', 'dark']) {
      await page.evaluate((theme) => {
        document.documentElement.dataset.theme = theme
        return Promise.all(document.getAnimations().map((one) => one.finished.catch(() => {})))
      }, theme)
      const violations = await page.evaluate(async () => (await globalThis.axe.run(document)).violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(' '))}`))
      check(!violations.length, `${tab}, ${theme}: ${violations}`)
    }
    await close(tab)
  }
}

// Figure 1 step by step, with the picture at hand.
async function testSteps(base) {
  const { page, close } = await openPage(`${base}#look?sample=coffee`)
  await looked(page, filled('look.says.rollout', { layer: 2 }))
  await page.click('#steps summary')
  const sizes = () => page.$$eval('#steps canvas', (all) => all.map(({ width, height }) => [width, height]))
  const says = (step, values) => until(page, (wanted) => document.querySelector('#steps figcaption').innerText === wanted, filled(`steps.${step}`, values))
  const [rows, columns] = await page.evaluate(() => document.querySelector('#caption .grid').textContent.match(/\d+/g).map(Number))
  check(await says('1.text.middle', { width: 32, height: 32, rows, columns }), `steps: patches: ${await text(page, '#steps figcaption')}`)
  const [whole] = await sizes()
  check(whole[0] >= 400 && whole[0] / whole[1] === columns / rows, `steps: patches taken apart, ${whole}`)
  await page.focus('#steps input:checked')
  await page.keyboard.press('ArrowRight')
  check(await says('2.text', {}) && (await sizes())[0][0] === 40 * rows * columns, `steps: tokens in a row, ${await sizes()}`)
  await page.keyboard.press('ArrowRight')
  check(await says('3.text', { layers: 2 }) && (await sizes()).length === 2, `steps: a picture for each layer, ${await sizes()}`)
  await page.keyboard.press('ArrowRight')
  check(await says('4.text', { count: 7 }) && (await page.$$('#steps .scores li')).length === 3, `steps: the answer: ${await text(page, '#steps')}`)
  await drop(page, sample('horse'))
  await looked(page, filled('look.says.rollout', { layer: 2 }))
  await page.click('#steps [value="1"]')
  check(await until(page, () => document.querySelector('#steps canvas')), 'steps: another picture')
  await close('steps')
}

// What the other arithmetic says in Classify, and what a field term means.
async function testArithmetic(base) {
  const { page, close } = await openPage(`${base}#classify?sample=coffee`)
  await answered(page, 'coffee.jpg')
  const types = () => page.evaluate(() => [document.querySelector('#runs dd:nth-of-type(5)').textContent, document.querySelector('#compute input:checked').value].join())
  check((await types()) === 'f32,f32' && (await text(page, '#answer .other')) === '', `arithmetic: at first ${await types()}`)
  await page.click('#compute [value="int8"]')
  check(await until(page, () => /^With f32: .+, .+\s%, in .+\sms$/.test(document.querySelector('#answer .other').textContent)), `arithmetic: what f32 said: ${await text(page, '#answer .other')}`)
  check((await types()) === 'int8,int8' && page.url().includes('compute=int8'), `arithmetic: ${await types()}, ${page.url()}`)
  await drop(page, sample('horse'))
  check(await answered(page, 'my horse.jpg') && (await text(page, '#answer .other')) === '', 'arithmetic: of another picture only what was asked')
  await page.click('#compute [value="f32"]')
  check(await until(page, () => /^With int8: /.test(document.querySelector('#answer .other').textContent)) && !page.url().includes('compute'), 'arithmetic: and back')

  const tip = (state) => until(page, (state) => getComputedStyle(document.querySelector('#compute [role="tooltip"]')).visibility === state, state)
  check(await tip('hidden'), 'terms: explained when asked')
  await page.focus('#compute .term button')
  check(await tip('visible') && (await text(page, '#compute [role="tooltip"]')) === words['term.arithmetic'], 'terms: by keyboard')
  await page.keyboard.press('Escape')
  check(await tip('hidden'), 'terms: Escape')
  await page.hover('#compute .term button')
  check(await tip('visible'), 'terms: by pointer')
  const unknown = Object.values(words).concat(Object.values(korean)).flatMap((line) => [...line.matchAll(/\[\[(\w+)/g)]).filter(([, term]) => !words[`term.${term}`] || !korean[`term.${term}`])
  check(!unknown.length, `terms: not explained: ${unknown}`)
  await close('arithmetic')

  const link = await openPage(`${base}#classify?sample=coffee&compute=int8`)
  check(await answered(link.page, 'coffee.jpg') && (await text(link.page, '#runs dd:nth-of-type(5)')) === 'int8', 'arithmetic: by link')
  await link.close('arithmetic, link')
}

export async function testTabs(base, browserName) {
  await testBrowserLanguage(base) // before one is chosen, which is remembered
  await testLanguage(base)
  await testLinks(base)
  await testWrongLinks(base)
  await testRefused(base)
  await testLook(base, browserName)
  await testSteps(base)
  await testArithmetic(base)
  await testFill(base, browserName)
  await testTeach(base, browserName)
  await testFind(base, browserName)
  await testFit(base)
  await testCompare(base)
}
