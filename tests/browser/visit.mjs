// The demo page as a visitor of tests meets it: opening it, waiting, looking, dropping files on it.

import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import words from '../../web/words/en.js'

export const root = resolve(fileURLToPath(import.meta.url), '../../..')
export const tiny = join(root, 'tests/golden/forward/timm_cls')
export const results = { passed: 0, failed: 0 }

// A line of the page's words as it is read there: values filled in, field terms without their brackets.
export const filled = (key, values = {}, language = words) => language[key].replace(/\{(\w+)\}/g, (_, name) => values[name])
  .replace(/\[\[(?:\w+\|)?([^\]]+)\]\]/g, '$1')

export function check(condition, what) {
  if (condition) results.passed++
  else {
    results.failed++
    console.log(`FAILED ${what}`)
  }
}

let browser
export const setBrowser = (launched) => (browser = launched)

// quiet: browsers log failing requests and broken pictures; where those are the point, only exceptions count. isPhone: touch,
// and a screen of that kind (Chromium). prepare(page) is called before it is opened.
export async function openPage(url, { width = 1280, height = 800, quiet = false, isPhone = false, prepare = () => {} } = {}) {
  const page = await browser.newPage()
  page.setDefaultTimeout(60_000)
  await page.setViewport(isPhone ? { width, height, isMobile: true, hasTouch: true, deviceScaleFactor: 2 } : { width, height })
  const problems = []
  const requests = []
  page.on('console', (message) => !quiet && message.type() === 'error' && problems.push(message.text()))
  const noise = ['Image corrupt', ...(quiet ? ['Cross-Origin Request Blocked', 'Failed to load .* A ServiceWorker intercepted', 'Failed to read data from the ReadableStream'] : [])]
  const logged = new RegExp(`^(${noise.join('|')})`) // by Firefox, as if they were exceptions
  page.on('pageerror', (error) => logged.test(error.message) || problems.push(error.message))
  page.on('request', (request) => /^https?:/.test(request.url()) && requests.push(request.url()))
  await prepare(page)
  await page.goto(url)
  await page.waitForFunction(() => document.documentElement.dataset.ready === '')
  const { origin } = new URL(url)
  const close = async (name) => {
    check(!problems.length, `${name}: the console says ${problems}`)
    await page.close()
  }
  return { page, foreign: () => requests.filter((one) => !one.startsWith(origin)), close }
}

export const until = (page, test, ...args) => page.waitForFunction(test, { timeout: 60_000 }, ...args).then(() => true, () => false)
export const answered = (page, name) => until(page, (wanted) => {
  const answer = document.querySelector('#answer')
  return !answer.hidden && answer.getAttribute('aria-busy') === 'false' && document.querySelectorAll('#scores li').length === 5
    && document.querySelector('#caption .file').textContent.startsWith(wanted)
}, name)
export const noticed = (page, key) => until(page, (title) => document.querySelector('#notice h2')?.textContent === title, words[`${key}.title`])
export const invited = (page) => until(page, () => document.querySelector('#invite').checkVisibility())
// Spaces before units do not break; here they are spaces.
export const text = (page, selector) => page.$eval(selector, (element) => element.textContent.replaceAll('\u00a0', ' '))
export const visible = (page, selector) => page.$eval(selector, (element) => element.checkVisibility())

export const encoded = (name, type, bytes) => ({ name, type, bytes: Buffer.from(bytes).toString('base64') })
export const fileOf = (path, name, type = '') => encoded(name, type, readFileSync(path))
export const sample = (name) => fileOf(join(root, `web/samples/${name}.jpg`), `my ${name}.jpg`, 'image/jpeg')
// Requests for what the pattern matches fail.
export async function block(page, pattern) {
  await page.setRequestInterception(true)
  page.on('request', (request) => (pattern.test(request.url()) ? request.abort() : request.continue()))
}
export const drop = (page, ...files) => page.evaluate((list) => {
  const transfer = new DataTransfer()
  for (const { name, type, bytes } of list) transfer.items.add(new File([Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0))], name, { type }))
  for (const kind of ['dragenter', 'dragover', 'drop'])
    document.body.dispatchEvent(new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true }))
}, files)
