// What the options of calls may be.

import { VitError, argument } from './errors.mjs'
import { LIMITS, POOLS } from './module.mjs'

const isCount = (value) => Number.isInteger(value) && value > 0
const isIndex = (value) => Number.isInteger(value) && value >= 0 && value < 2 ** 31
const isSide = (value) => isCount(value) && value <= 65535
const isSize = (size) => isSide(size) || (Array.isArray(size) && size.length === 2 && size.every(isSide))
export const sides = (size) => (typeof size === 'number' ? [size, size] : size)

const isLimit = ([name, value]) => LIMITS.includes(name) && isCount(value) && (LIMITS.indexOf(name) < 4 || value < 2 ** 32)

const said = (options) => Object.entries(options).filter(([, value]) => value !== undefined)

// What each option must be, in words and as a test.
export const LOAD = {
  threads: ['a whole number from 1 to 64', (n) => isCount(n) && n <= 64],
  worker: ['true or false', (on) => typeof on === 'boolean'],
  compute: ["'f32' or 'int8'", (type) => type === 'f32' || type === 'int8'],
  size: ['a whole number of pixels, at most 65535, or [height, width]', isSize],
  cropPct: ['a number above 0, at most 1', (part) => typeof part === 'number' && part > 0 && part <= 1],
  decode: ["'engine' or 'browser'", (by) => by === 'engine' || by === 'browser'],
  kernels: ["'simd128' or 'relaxed'", (name) => typeof name === 'string' && /^(simd128|relaxed)([:,]|$)/.test(name)],
  onProgress: ['a function', (call) => typeof call === 'function'],
  cache: ['true or false', (on) => typeof on === 'boolean'],
  sha256: ['a text of 64 hexadecimal digits', (sum) => typeof sum === 'string' && /^[0-9a-f]{64}$/i.test(sum)],
  limits: [`an object of whole numbers above 0: ${LIMITS.join(', ')}`, (limits) => Object(limits) === limits && !Array.isArray(limits) && said(limits).every(isLimit)],
  first: ['an image', () => true]
}
export const CLASSIFY = { topK: ['a whole number above 0', isCount] }
const SIGNAL = { signal: ['an AbortSignal', (signal) => signal instanceof AbortSignal] }
export const FEATURES = { pool: ["'head', 'cls' or 'mean'", (pool) => POOLS.includes(pool)] }
export const ATTENTION = {
  method: ["'rollout', 'mean' or 'head'", (method) => ['rollout', 'mean', 'head'].includes(method)],
  layer: ['a whole number', (layer) => Number.isInteger(layer) && isIndex(Math.abs(layer))],
  head: ['a whole number', isIndex],
  query: ["'cls', 'mean', 'all' or the number of a patch", (query) => ['cls', 'mean', 'all'].includes(query) || isIndex(query)]
}
export const INSPECT = {
  filters: { count: ['a whole number above 0', (count) => count > 0 && isIndex(count)] },
  positions: { size: LOAD.size },
  distance: { images: ['an image or an array of them', () => true], renormalize: ['true or false', (on) => typeof on === 'boolean'] }
}
export const MASKED = {
  ratio: ['a number from 0 to 1', (ratio) => typeof ratio === 'number' && ratio >= 0 && ratio <= 1],
  mask: ['an array of 0 and 1, a value for each patch', (mask) => (Array.isArray(mask) || ArrayBuffer.isView(mask)) && Array.from(mask).every((one) => [0, 1, false, true].includes(one))],
  seed: ['a whole number from 0 to 2147483647', isIndex],
  size: LOAD.size,
  raw: ['true or false', (on) => typeof on === 'boolean']
}
export const FEW_SHOT = { l2: ['a number above 0', (l2) => l2 > 0 && Number.isFinite(l2)] }
export const PROBE = { ...CLASSIFY, neighbours: ['a whole number above 0', (count) => count > 0 && isIndex(count)] }

export function show(value) {
  try {
    const plain = (_, one) => (typeof one === 'number' && !Number.isFinite(one) ? String(one) : one)
    return typeof value === 'number' ? String(value) : (JSON.stringify(value, plain)?.slice(0, 200) ?? typeof value)
  } catch {
    return typeof value
  }
}

// Arrays and plain objects as they are now: they may change while a call waits, and proxies of them cannot be posted to a worker.
const copy = (value) => (Array.isArray(value) ? [...value] : value && Object.getPrototypeOf(value) === Object.prototype ? { ...value } : value)

// The options that were given, read once: a getter may say something else the next time, or throw.
export function readOptions(call, options) {
  return blame(call, () => {
    options ??= {}
    if (typeof options !== 'object') throw argument(`${call}: options are an object, not ${show(options)}`)
    return Object.fromEntries(said(options).map(([name, value]) => [name, copy(value)]))
  })
}

export function checkOptions(call, options, known) {
  const given = readOptions(call, options)
  blame(call, () => check(call, given, { ...known, ...SIGNAL }))
  return given
}

function check(call, given, all) {
  for (const [name, value] of Object.entries(given)) {
    if (!Object.hasOwn(all, name)) throw argument(`${call}: there is no option '${name}'; there are ${Object.keys(all).join(', ')}`)
    const [words, test] = all[name]
    if (!test(value)) throw argument(`${call}: ${name} is ${words}, not ${show(value)}`)
  }
}

// What throws while options are looked at is the caller's fault.
function blame(call, look) {
  try {
    return look()
  } catch (error) {
    throw error instanceof VitError ? error : new VitError('argument', `${call}: its options cannot be read: ${error?.message ?? error}`, { cause: error })
  }
}
