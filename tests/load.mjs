// Load in one process: node tests/load.mjs node|chromium [COUNT]: 10,000 classifications, 64 calls at once, 50 models that
// come and go; in place and in a worker. Prints what was measured and `N passed, N failed`.

import { spawnSync } from 'node:child_process'
import { launch } from './browser/launch.mjs'
import { startServer } from './browser/server.mjs'
import { runLoad } from './js/load.mjs'

const [host, count = '10000'] = process.argv.slice(2)
// A worker that is a thread waits where no debugger reaches it, so in a page there are none whose heaps are to be measured.
const setups = [{ threads: 1, worker: false }, { threads: host === 'node' ? 2 : 1, worker: true }]

const pause = (ms = 100) => new Promise((done) => setTimeout(done, ms))

async function inNode(setup) {
  // What a collection frees outside the heap is given back a little later.
  async function memory() {
    for (let i = 0; i < 3; i++) {
      gc()
      await pause()
    }
    const { heapUsed, external } = process.memoryUsage()
    return { heap: heapUsed, outside: external }
  }
  return runLoad({ ...setup, memory })
}

async function inPage(browser, setup) {
  const page = await browser.newPage()
  const session = await page.createCDPSession()
  // Of the page and all its workers.
  await page.exposeFunction('memory', async () => {
    const sum = { heap: 0, outside: 0 }
    await pause(1000) // workers that were ended are gone
    for (const one of [session, ...page.workers().map(({ client }) => client)]) {
      for (let i = 0; i < 3; i++) {
        await one.send('HeapProfiler.collectGarbage')
        await pause()
      }
      const { usedSize, backingStorageSize } = await one.send('Runtime.getHeapUsage')
      sum.heap += usedSize
      sum.outside += backingStorageSize
    }
    return sum
  })
  await page.goto(setup.base + 'blank.html')
  const lines = await page.evaluate(async (setup) => (await import('/tests/js/load.mjs')).runLoad({ ...setup, memory }), setup)
  await page.close()
  return lines
}

async function main() {
  const server = await startServer()
  const browser = host === 'chromium' ? await launch(host) : null
  let failed = 0
  for (const options of setups) {
    const setup = { base: server.url, options, count: Number(count) }
    const words = `${host}, ${options.worker ? 'worker' : 'in place'}, ${options.threads} thread${options.threads > 1 ? 's' : ''}`
    try {
      for (const line of await (browser ? inPage(browser, setup) : inNode(setup))) console.log(`${words}: ${line}`)
    } catch (error) {
      console.log(`FAILED ${words}: ${error.stack ?? error}`)
      failed++
    }
  }
  await browser?.close()
  server.close()
  console.log(`${setups.length - failed} passed, ${failed} failed`)
  process.exit(failed ? 1 : 0)
}

if (globalThis.gc) await main()
else process.exit(spawnSync(process.execPath, ['--expose-gc', ...process.argv.slice(1)], { stdio: 'inherit' }).status ?? 1)
