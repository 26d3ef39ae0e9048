// Many pictures in the tab Classify, and several files of several kinds at once, as a visitor has them.

import { join } from 'node:path'
import { answered, check, drop, encoded, fileOf, filled, noticed, openPage, root, sample, text, tiny, until, visible } from './visit.mjs'
import words from '../../web/words/en.js'

const ended = (page) => until(page, (label) => document.querySelector('#batch header button')?.textContent === label, words['batch.close'])
const column = (page, n) => page.$$eval(`#batch tbody td:nth-child(${n})`, (all) => all.map((cell) => cell.textContent))
const model = () => [fileOf(join(tiny, 'config.json'), 'config.json'), fileOf(join(tiny, 'model.safetensors'), 'model.safetensors')]
const onStage = (page, name) => until(page, (name) => document.querySelector('#caption .file').textContent.startsWith(name), name)

// What the page offers to save, by type.
const keepSaved = (page) => page.evaluate(() => {
  globalThis.saved = {}
  const make = URL.createObjectURL.bind(URL)
  URL.createObjectURL = (blob) => {
    if (/csv|json/.test(blob.type)) blob.text().then((content) => { saved[blob.type] = content })
    return make(blob)
  }
  HTMLAnchorElement.prototype.click = () => {}
})

async function testTable(base) {
  const { page, close } = await openPage(base)
  await answered(page, 'cat.jpg')
  await drop(page, sample('cat'), sample('coffee'), encoded('broken.jpg', 'image/jpeg', 'no picture'))
  check(await ended(page), 'batch: it ends')
  check((await page.$$('#batch tbody tr')).length === 3, 'batch: a row for each')
  check((await page.$$('#batch td.failed')).length === 1, 'batch: the broken one is told, the others are done')
  const labels = await page.$$eval('[aria-label]', (all) => all.filter((one) => one.matches('section, [role="region"]')).map((one) => one.getAttribute('aria-label')))
  check(labels.includes(words['batch.table']) && new Set(labels).size === labels.length, `batch: it has a name of its own: ${labels}`)
  await page.click('#batch tbody tr:nth-child(2) td button')
  check(await answered(page, 'my coffee.jpg'), 'batch: a row shows its picture')
  check(await page.$eval('#batch tr[aria-current]', (row) => row.contains(document.activeElement) && row.matches(':nth-child(2)')), 'batch: it is marked, and keeps the focus')
  await page.click('#batch th:nth-child(1) button')
  check((await column(page, 1)).join() === 'broken.jpg,my cat.jpg,my coffee.jpg', 'batch: sorted by name')
  await page.click('#batch th:nth-child(1) button')
  await keepSaved(page)
  for (const button of await page.$$('#batch .save')) await button.click()
  check(await until(page, () => saved['text/csv'] && saved['application/json']), 'batch: it is saved')
  const saved = await page.evaluate(() => saved)
  const lines = saved['text/csv'].trim().split('\r\n')
  check(lines.length === 4 && lines[0] === 'path,known,index,label,score,ms,error' && /^"my coffee.jpg",true,\d+,.*,""$/.test(lines[1]) && /^"my cat.jpg",/.test(lines[2]), `batch: CSV, in the order that is shown: ${lines}`)
  check(/^"broken.jpg",,,"",,,"image.*"$/.test(lines[3]), `batch: what failed, in the CSV: ${lines[3]}`)
  const rows = JSON.parse(saved['application/json'])
  check(rows.length === 3 && rows[0].path === 'my coffee.jpg' && rows[0].known && rows[0].top.length === 5 && rows[0].ms > 0, 'batch: JSON')
  check(rows[2].path === 'broken.jpg' && rows[2].error && !rows[2].top, 'batch: what failed, in the JSON')
  await page.click('#batch header button')
  check(!(await visible(page, '#batch')), 'batch: it closes')

  await drop(page, ...Array.from({ length: 12 }, () => sample('cat')))
  await page.click('#tabs [data-tab="look"]')
  check(await until(page, () => document.querySelectorAll('#batch tbody td:nth-child(3)').length === 12 && [...document.querySelectorAll('#batch tbody td:nth-child(3)')].every((cell) => cell.textContent)), 'batch: it goes on behind another tab')
  check(await onStage(page, 'my c'), 'batch: the other tab keeps its picture')
  await page.click('#tabs [data-tab="classify"]')
  check((await text(page, '#batch header button')) === words['batch.close'], 'batch: it has ended')
  await close('batch')
}

// The table is there until it is closed.
async function testKept(base) {
  const { page, close } = await openPage(base)
  await answered(page, 'cat.jpg')
  const named = (name, as) => ({ ...sample(name), name: as })
  await drop(page, named('cat', 'IMG_10.jpg'), named('coffee', 'Zebra.jpg'), named('horse', 'IMG_2.jpg'), named('rocket', 'Äpfel.jpg'))
  await ended(page)
  await page.click('#batch th:nth-child(1) button')
  check((await column(page, 1)).join() === 'Äpfel.jpg,IMG_2.jpg,IMG_10.jpg,Zebra.jpg', `batch: names in the order of people: ${await column(page, 1)}`)
  const scores = (await column(page, 3)).join()
  await page.click('[data-sample="camera"]')
  check(await answered(page, 'camera.jpg'), 'batch: a sample is answered')
  check((await column(page, 3)).join() === scores && !(await page.$('#batch [aria-current]')), 'batch: beside the table')
  await drop(page, sample('horse'))
  check(await answered(page, 'my horse.jpg') && (await visible(page, '#batch')), 'batch: and so is a picture of one’s own')
  await page.click('#batch tbody tr:nth-child(2) button')
  check(await answered(page, 'IMG_2.jpg') && (await page.$eval('#batch [aria-current]', (row) => row.matches(':nth-child(2)'))), 'batch: then a row again')
  check(!(await page.$('#samples [aria-pressed="true"]')) && !page.url().includes('sample='), 'batch: no sample is marked then')

  await page.click('#compute [value="int8"]')
  check(await until(page, () => document.querySelector('#batch .again').checkVisibility()), 'batch: another arithmetic leaves it')
  const name = await text(page, '#model-button .name')
  check((await text(page, '#batch .of')) === filled('batch.of', { name, compute: 'f32' }), `batch: whose answers they are: ${await text(page, '#batch .of')}`)
  check((await column(page, 3)).join() === scores, 'batch: they are there')
  await page.setViewport({ width: 360, height: 740 })
  check(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'batch: it fits 360 px')
  await page.setViewport({ width: 1280, height: 800 })
  await page.click('#batch tbody tr:nth-child(4) button')
  check(await answered(page, 'Zebra.jpg') && (await text(page, '#runs dd:nth-of-type(5)')) === 'int8', 'batch: the picture of a row is answered by the model in use')
  await page.click('#batch .again')
  check(await until(page, (before) => !document.querySelector('#batch .again').checkVisibility()
    && [...document.querySelectorAll('#batch tbody td:nth-child(3)')].every((cell) => cell.textContent) && [...document.querySelectorAll('#batch tbody td:nth-child(3)')].map((cell) => cell.textContent).join() !== before, scores), `batch: all are classified again: ${scores}, ${await column(page, 3)}`)
  check((await column(page, 1)).join() === 'Äpfel.jpg,IMG_2.jpg,IMG_10.jpg,Zebra.jpg', 'batch: in the same order')
  await drop(page, ...model())
  check(await until(page, () => document.querySelector('#batch .again').checkVisibility()) && (await page.$$('#batch tbody tr')).length === 4, 'batch: another model leaves it')
  await close('batch, kept')
}

// The longest pause of a page that sorts so many names.
const pauseOfSorting = (page, many) => page.evaluate(async (many) => {
  const { placesOf } = await import('/web/app/order.js')
  const names = Array.from({ length: many }, (_, i) => `${(i * 2654435761 % 2 ** 32).toString(36)}.png`)
  let longest = 0, last = performance.now()
  const look = () => {
    longest = Math.max(longest, performance.now() - last)
    last = performance.now()
  }
  const timer = setInterval(look, 1)
  const places = await placesOf(names, new Map())
  look()
  clearInterval(timer)
  return places.size === many && longest
}, many)

// Thousands of rows do not hold up the page: those that are seen are drawn, and sorting takes breaks.
async function testMany(base, browserName) {
  const ROWS = 5000
  const { page, close } = await openPage(base)
  await answered(page, 'cat.jpg')
  await page.evaluate(async (rows) => {
    const canvas = new OffscreenCanvas(8, 8)
    canvas.getContext('2d').fillRect(0, 0, 4, 8)
    const blob = await canvas.convertToBlob()
    const transfer = new DataTransfer()
    const digits = (i) => (i * 2654435761 % 2 ** 32).toString(36) // names that take a while to compare
    for (let i = 0; i < rows; i++) transfer.items.add(new File([blob], `${digits(i)} ${digits(i * i)}.png`, { type: 'image/png' }))
    document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: transfer, bubbles: true, cancelable: true }))
  }, ROWS)
  const started = (total) => Number(/^[\d,]+/.exec(document.querySelector('#batch h2')?.textContent)?.[0].replace(',', '')) > 20 && document.querySelector('#batch h2').textContent.includes(total)
  check(await until(page, started, '5,000'), 'many: it has begun')
  const drawn = () => page.$$eval('#batch tbody tr', (all) => all.length)
  check((await drawn()) < 100, `many: ${await drawn()} rows are drawn`)
  await page.evaluate(() => {
    globalThis.pauses = []
    if (PerformanceObserver.supportedEntryTypes.includes('longtask')) new PerformanceObserver((list) => pauses.push(...list.getEntries().map(({ duration }) => duration))).observe({ type: 'longtask' })
  })
  const sorted = (page, n, direction) => until(page, (n, direction) => document.querySelector(`#batch th:nth-child(${n})`).getAttribute('aria-sort') === direction, n, direction)
  const settled = () => new Promise((done) => setTimeout(done, 1500)) // rows that came meanwhile are sorted once a second
  for (const [n, direction] of [[1, 'ascending'], [1, 'descending'], [2, 'ascending'], [3, 'descending'], [4, 'descending'], [1, 'ascending']]) {
    await page.click(`#batch th:nth-child(${n}) button`)
    check(await sorted(page, n, direction), `many: sorted by column ${n}, ${direction}`)
    await settled()
  }
  const names = await column(page, 1)
  const { compare } = new Intl.Collator('en', { numeric: true })
  check(names.every((name, i) => !i || compare(names[i - 1], name) < 0) && /^0/.test(names[0]), `many: by name: ${names.slice(0, 3)}`)
  await page.$eval('#batch .scroll', (scroll) => { scroll.scrollTop = scroll.scrollHeight / 2 })
  const middle = () => page.$eval('#batch .scroll', (scroll) => {
    const { left, top, height } = scroll.getBoundingClientRect()
    return Number(document.elementFromPoint(left + 20, top + height / 2).closest('tr')?.getAttribute('aria-rowindex'))
  })
  for (let i = 0; i < 30 && !(Math.abs((await middle()) - ROWS / 2) < 20); i++) await new Promise((done) => setTimeout(done, 100))
  check(Math.abs((await middle()) - ROWS / 2) < 20 && (await drawn()) < 100, `many: scrolled to the middle, row ${await middle()} of ${await drawn()} is seen`)
  await page.$eval('#batch .scroll', (scroll) => { scroll.scrollTop = scroll.scrollHeight })
  check(await until(page, (last) => document.querySelector('#batch tbody tr:last-child').getAttribute('aria-rowindex') === last, String(ROWS + 1)), 'many: and to the end')
  await page.focus('#batch tbody tr:last-child button')
  await page.$eval('#batch .scroll', (scroll) => { scroll.scrollTop = 0 })
  check(await until(page, () => document.activeElement.className === 'scroll'), 'many: the focus of a row that goes stays in the table')
  const longest = Math.max(0, ...await page.evaluate(() => pauses))
  if (browserName === 'chromium') console.log(`batch: ${ROWS} rows; longest task while they are sorted and come in ${Math.round(longest)} ms`)
  check(longest < 150, `many: a task of ${longest} ms`) // a tenth of what drawing all rows takes, on a machine that does other things as well
  for (let i = 0; i < 2 && (await page.$('#batch header button')); i++) await page.click('#batch header button') // stops it, if it goes on yet; closes it
  check(!(await visible(page, '#batch')), 'many: closed')
  const pause = await pauseOfSorting(page, 20_000)
  check(pause && pause < 100, `many: sorting names pauses for ${pause} ms`)
  await close('batch, many')
}

// A table that was stopped goes on where it was.
async function testStopped(base) {
  const { page, close } = await openPage(base)
  await answered(page, 'cat.jpg')
  await page.evaluate(() => {
    const stop = new MutationObserver(() => {
      if (!document.querySelector('#batch h2')?.textContent.startsWith('3 ')) return
      stop.disconnect()
      document.querySelector('#batch header button').click()
    })
    stop.observe(document.querySelector('#batch'), { childList: true, characterData: true, subtree: true })
  })
  await drop(page, ...Array.from({ length: 12 }, () => sample('cat')))
  check(await ended(page) && await visible(page, '#batch .on'), 'stopped: it can go on')
  check((await text(page, '#batch h2')) === filled('batch.title', { done: 3, total: 12 }), `stopped: ${await text(page, '#batch h2')}`)
  const times = (await column(page, 4)).slice(0, 3)
  await page.evaluate(() => { // what is written into the table from now on
    globalThis.written = new Set()
    new MutationObserver((all) => all.forEach(({ target }) => written.add(target.closest('tr')?.rowIndex))).observe(document.querySelector('#batch tbody'), { childList: true, subtree: true })
  })
  await page.click('#batch .on')
  check(await ended(page) && !(await visible(page, '#batch .on')), 'stopped: it goes on to its end')
  check((await column(page, 3)).every(Boolean) && (await column(page, 4)).slice(0, 3).join() === times.join(), 'stopped: all have an answer')
  check((await page.evaluate(() => [...written].filter((row) => row <= 3))).length === 0, `stopped: those that had one are not asked again: ${await page.evaluate(() => [...written])}`)
  await close('batch, stopped')
}

// A folder as a browser hands it over: names of files, those of which `unreadable` is said cannot be read.
const dropFolder = (page, files, unreadable) => page.evaluate((list, unreadable) => {
  const fail = (_, no) => no(new DOMException('It changed', 'NotReadableError'))
  const entryOf = ({ name, type, bytes }) => ({
    name, isFile: true, fullPath: `/photos/${name}`,
    file: unreadable.includes(name) ? fail : (yes) => yes(new File([Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0))], name, { type })),
  })
  const folder = (name, parts, read) => ({ name, isDirectory: true, fullPath: `/${name}`, createReader: () => ({ readEntries: read ?? ((yes) => yes(parts.splice(0))) }) })
  const photos = folder('photos', list.map(entryOf).concat(folder('photos/locked', [], fail)))
  const dataTransfer = { types: ['Files'], items: [{ kind: 'file', webkitGetAsEntry: () => photos, getAsFile: () => null }] }
  document.body.dispatchEvent(Object.defineProperty(new Event('drop', { bubbles: true, cancelable: true }), 'dataTransfer', { value: dataTransfer }))
}, files, unreadable)

async function testFiles(base) {
  const { page, close } = await openPage(base)
  await answered(page, 'cat.jpg')
  const says = (line) => until(page, (line) => document.querySelector('#notice p')?.textContent === line, line)
  const told = (values) => [['passed.taken', values.count], ['passed.others', values.others], ['passed.unread', values.unread]]
    .filter(([, value]) => value !== undefined).map(([key, value]) => filled(key, { count: value, names: value })).join(' ')
  await page.evaluate(() => {
    globalThis.loads = []
    new MutationObserver(() => loads.push(document.querySelector('#loading .what').textContent)).observe(document.querySelector('#loading .what'), { childList: true })
  })
  await drop(page, sample('coffee'), fileOf(join(root, 'wasm/models/classify.gguf'), 'mine.gguf'))
  check(await until(page, () => loads.includes('mine.gguf')) && await until(page, () => /airplane/.test(document.querySelector('#answer .knows').textContent)), 'files: a model that comes with a picture')
  check(await answered(page, 'my coffee.jpg'), 'files: the picture, too')
  await drop(page, sample('cat'), ...model(), sample('horse'))
  check(await until(page, () => document.querySelector('#answer .knows').textContent === '') && await ended(page), 'files: a model that comes with several pictures')
  check((await page.$$('#batch tbody tr')).length === 2 && !(await visible(page, '#batch .again')), 'files: all are classified by it')
  await page.click('#batch header button')
  await drop(page, encoded('notes.txt', 'text/plain', 'words'), sample('cat'), encoded('.DS_Store', '', 'x'), sample('coffee'))
  check(await noticed(page, 'passed') && await says(told({ count: 2, others: 'notes.txt' })), `files: what is no picture is named: ${await text(page, '#notice')}`)
  check(await ended(page) && (await page.$$('#batch tbody tr')).length === 2 && await visible(page, '#notice'), 'files: the pictures are classified')
  await page.click('#batch tbody tr:nth-child(2) button')
  check(!(await visible(page, '#notice')), 'files: the notice goes with the next choice')
  await dropFolder(page, [{ ...sample('cat'), name: 'IMG_10.jpg' }, { ...sample('horse'), name: 'IMG_2.jpg' }, { ...sample('cat'), name: 'gone.jpg' }], ['gone.jpg'])
  check(await noticed(page, 'passed') && await says(told({ count: 2, unread: 'photos/gone.jpg, photos/locked' })), `files: what cannot be read is named: ${await text(page, '#notice')}`)
  check((await text(page, '#notice code')).includes('It changed'), 'files: and why')
  check(await ended(page) && (await column(page, 1)).join() === 'photos/IMG_2.jpg,photos/IMG_10.jpg', `files: the others go on, in the order of people: ${await column(page, 1)}`)
  await dropFolder(page, [{ ...sample('cat'), name: 'gone.jpg' }], ['gone.jpg'])
  check(await says(told({ count: 0, unread: 'photos/gone.jpg, photos/locked' })), 'files: nothing can be read')
  check((await page.$$('#batch tbody tr')).length === 2, 'files: then all stays')
  await close('files')

  const broken = await openPage(base, { quiet: true })
  await answered(broken.page, 'cat.jpg')
  await drop(broken.page, sample('coffee'), fileOf(join(tiny, 'model.safetensors'), 'model.safetensors'), sample('horse'))
  check(await noticed(broken.page, 'error.no-config') && await ended(broken.page) && (await broken.page.$$('#batch tbody tr')).length === 2, 'files: pictures are taken where their model is none')
  check(await visible(broken.page, '#notice'), 'files: which is told')
  await broken.close('files, broken')
}

export async function testBatch(base, browserName) {
  await testTable(base)
  await testKept(base)
  await testStopped(base)
  await testMany(base, browserName)
  await testFiles(base)
}
