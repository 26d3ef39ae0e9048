// Runs the suite in Chromium and Firefox: node tests/browser/run.mjs [chromium|firefox] [part of a test's name].
// On pages with and without cross-origin isolation, in each module, in workers and in place: in each browser half of the ways, so that
// each choice goes with each other once, and all of them where a part is named. Ends with `N passed, N failed`.

import { existsSync } from 'node:fs'
import { hasData, isPaired, prepare } from '../js/run.mjs'
import { BROWSERS, launch } from './launch.mjs'
import { startServer } from './server.mjs'

// Every module and both ways to run; where a page is not isolated there are only the modules of one thread.
function* setups(isolated, has) {
  for (const kernels of ['simd128', 'relaxed'])
    for (const threads of isolated ? [1, 2] : [2])
      for (const worker of [true, false]) {
        const expected = { kernels, threads: isolated ? threads : 1, isolated }
        yield { options: { kernels, threads, worker }, expected, has, long: isolated && kernels === 'relaxed' && threads === 2 }
      }
}

async function main(wanted, pattern) {
  const data = hasData()
  const sum = { passed: 0, failed: 0 }
  for (const name of wanted) {
    if (!existsSync(BROWSERS[name].executablePath)) {
      console.log(`FAILED ${name}: ${BROWSERS[name].executablePath} is not there`)
      sum.failed++
      continue
    }
    const has = prepare(name, data)
    const browser = await launch(name)
    console.log(await browser.version())
    for (const isolated of [true, false]) {
      const server = await startServer({ isolated, built: has.built })
      for (const setup of setups(isolated, has)) {
        const { kernels, threads, worker } = setup.options
        const isInFirefox = isPaired({ ...setup.options, threads: setup.expected.threads })
        if (!pattern && isInFirefox !== (name === 'firefox')) continue
        const words = `${name}, ${isolated ? 'isolated' : 'not isolated'}, ${kernels}, ${threads} threads asked, ${worker ? 'worker' : 'in place'}`
        const start = performance.now()
        const page = await browser.newPage()
        page.on('pageerror', (error) => console.log(`    page error: ${error.message}`))
        await page.goto(server.url + 'blank.html', { timeout: 120000 })
        const result = await page
          .evaluate(async (setup, pattern) => (await import('/tests/browser/page.mjs')).runSuite(setup, pattern), setup, pattern)
          .catch((error) => ({ passed: 0, failed: 1, failures: [error.stack] }))
        for (const text of result.failures) console.log(`FAILED (${words}) ${text}`)
        console.log(`${words}: ${result.passed} passed, ${result.failed} failed (${((performance.now() - start) / 1000).toFixed(1)} s)`)
        sum.passed += result.passed
        sum.failed += result.failed
        await page.close()
      }
      server.close()
    }
    await browser.close()
  }
  console.log(`${sum.passed} passed, ${sum.failed} failed`)
  process.exit(sum.failed ? 1 : 0)
}

const names = process.argv.slice(2).filter((name) => name in BROWSERS)
const [pattern = ''] = process.argv.slice(2).filter((name) => !(name in BROWSERS))
await main(names.length ? names : Object.keys(BROWSERS), pattern)
