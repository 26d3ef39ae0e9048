// Training is apart, in dist/vit-train.mjs (train.mjs) and modules of its own: it is fetched when it is first asked for, and
// gets from here what it shares with the rest.

import { Client } from './client.mjs'
import { VitError, argument, asVitError, throwIfCancelled, unlessCancelled } from './errors.mjs'
import { breathe } from './host.mjs'
import { Intake, isPixels, readImage, snapshot } from './image.mjs'
import { loadSource } from './load.mjs'
import { Wasm } from './module.mjs'
import { LOAD, checkOptions, show, sides } from './options.mjs'
import { openSource } from './read.mjs'

// As text: a worker is told.
const MODULES = {
  'simd128': new URL('./dist/vit-train-simd128.wasm', import.meta.url).href,
  'simd128-mt': new URL('./dist/vit-train-simd128-mt.wasm', import.meta.url).href,
  'relaxed': new URL('./dist/vit-train-relaxed.wasm', import.meta.url).href,
  'relaxed-mt': new URL('./dist/vit-train-relaxed-mt.wasm', import.meta.url).href
}
const shared = {
  Client, Intake, LOAD, MODULES, VitError, Wasm, argument, asVitError, breathe, checkOptions, isPixels, loadSource, openSource, readImage, show, sides, snapshot,
  throwIfCancelled, unlessCancelled
}
let coming

export function training() {
  coming ??= import('./dist/vit-train.mjs').then(({ default: define }) => define(shared))
  coming.catch(() => (coming = undefined)) // it may come another time
  return coming
}
