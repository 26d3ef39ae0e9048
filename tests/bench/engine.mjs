// The package as one of the peers of a comparison of engines: load() brings { run, close }, run(pixels) the logits of one
// normalised 224 x 224 picture. In place, as the others run: what is timed is the engine and not messages to a worker.
// Imported as engine.mjs?worker or engine.mjs?kernels=simd128 it takes these options of ViT.load.

import { ViT } from '../../wasm/index.js'

const SIDE = 224
const query = new URL(import.meta.url).searchParams

// weightsUrl: a model.safetensors with its config.json beside it. dtype: 'f32' or 'int8'.
export async function load({ dtype = 'f32', threads = 1, weightsUrl }) {
  const vit = await ViT.load(weightsUrl, { threads, compute: dtype, worker: query.has('worker'), kernels: query.get('kernels') ?? undefined })
  return {
    nhwc: true, // the layout that the engine keeps
    run: (pixels) => vit.logits({ pixels, width: SIDE, height: SIDE, layout: 'nhwc' }),
    e2e: async (url) => vit.classify(await (await fetch(url)).blob()),
    close: () => vit.dispose(),
    info: () => vit.info
  }
}
