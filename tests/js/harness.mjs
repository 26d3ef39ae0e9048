// A test runner that works the same in Node and in browsers.

const tests = []
let group = ''

export function describe(name, body) {
  group = name
  body()
}

export function test(name, body) {
  tests.push({ name: `${group}: ${name}`, body })
}

export function assert(condition, message) {
  if (!condition) throw new Error(message)
}

export function equal(actual, expected, what = 'value') {
  const [a, b] = [actual, expected].map((value) => JSON.stringify(ArrayBuffer.isView(value) ? [...value] : value))
  assert(a === b, `${what}: expected ${b?.slice(0, 300)}, found ${a?.slice(0, 300)}`)
}

export function close(actual, expected, tolerance, what = 'values') {
  assert(actual.length === expected.length, `${what}: expected ${expected.length} values, found ${actual.length}`)
  let worst = 0
  for (let i = 0; i < actual.length; i++) {
    const difference = Math.abs(actual[i] - expected[i])
    if (!(difference <= worst)) worst = difference
  }
  assert(worst <= tolerance, `${what}: differ by ${worst}, ${tolerance} is allowed`)
}

// The VitError that a promise must reject with; its message must match all patterns.
export async function rejects(promise, code, ...patterns) {
  const error = await promise.then((value) => assert(false, `expected a rejection with '${code}', was resolved with ${typeof value}`), (e) => e)
  assert(error.name === 'VitError', `expected a VitError, found ${error.stack ?? error}`)
  assert(error.code === code, `expected code '${code}', found '${error.code}': ${error.message}`)
  for (const pattern of patterns) assert(error.message.includes(pattern), `message '${error.message}' does not say '${pattern}'`)
  return error
}

// Runs what was registered; report(line) is called for each failure.
export async function run(report, pattern = '') {
  let passed = 0
  let failed = 0
  for (const { name, body } of tests.filter(({ name }) => name.includes(pattern))) {
    const limit = 300000
    let timer
    const start = performance.now()
    const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error(`no end after ${limit / 1000} s`)), limit)))
    try {
      await Promise.race([body(), late])
      passed++
    } catch (error) {
      failed++
      report(`${name}\n    ${error.stack?.includes(error.message) ? error.stack : error.message}`)
    } finally {
      clearTimeout(timer)
      if (globalThis.process?.env.TIMES) report(`${name}: ${((performance.now() - start) / 1000).toFixed(2)} s`)
    }
  }
  tests.length = 0
  return { passed, failed }
}
