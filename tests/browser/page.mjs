// What a page of the test server does: run the suite as the runner asks, and keep the result where it looks for it.

import { run } from '../js/harness.mjs'
import { defineSuite } from '../js/suite.mjs'

export async function runSuite(setup, pattern) {
  const failures = []
  defineSuite({ base: new URL('/', location.href).href, ...setup })
  const { passed, failed } = await run((text) => failures.push(text), pattern)
  return { passed, failed, failures, isolated: crossOriginIsolated }
}
