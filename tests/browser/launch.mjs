// Starts a browser, for tests.
// Programs: CHROMIUM and FIREFOX, else Debian's. puppeteer-core: PUPPETEER_CORE (its folder), else in the cache folder; axe-core
// beside it.

import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'vit-wasm/npm/node_modules/puppeteer-core')
const folder = process.env.PUPPETEER_CORE ?? cache
export const BROWSERS = {
  chromium: {
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--headless=new', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run']
  },
  firefox: { browser: 'firefox', executablePath: process.env.FIREFOX ?? '/usr/bin/firefox-esr' }
}

// A script that finds what shuts people out of a page.
export const axe = () => readFileSync(join(folder, '../axe-core/axe.min.js'), 'utf8')

// flags: more arguments of the program. options: more of puppeteer's.
export async function launch(name, flags = [], options = {}) {
  const { default: puppeteer } = await import(pathToFileURL(join(folder, 'lib/esm/puppeteer/puppeteer-core.js')).href)
  const { args = [], ...browser } = BROWSERS[name]
  return puppeteer.launch({ headless: true, timeout: 120000, protocolTimeout: 1500000, ...browser, ...options, args: [...args, ...flags] })
}
