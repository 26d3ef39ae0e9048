// What vit.d.ts allows and forbids, for the TypeScript compiler; nothing here runs.

import { ViT, VitError } from 'vit-wasm'
import type { Classification, ImageInput, MaskedPrediction, Probe, Trainer } from 'vit-wasm'

export async function names(image: ImageInput, folder: File): Promise<string[]> {
  using vit = await ViT.load({ weights: folder, config: { architecture: 'vit_tiny_patch16_224' } }, {
    threads: 2,
    size: [160, 320],
    cache: true,
    sha256: '0'.repeat(64),
    limits: { imagePixels: 1e6, tokens: 300 },
    signal: AbortSignal.timeout(1000),
    onProgress: ({ phase, loaded, total }) => console.log(phase, loaded / (total ?? loaded))
  })
  const best: Classification[] = await vit.classify(image, { topK: 3 })
  const batch: Classification[][] = await vit.classify([image, image])
  const logits: Float32Array = await vit.logits({ pixels: new Float32Array(12), width: 2, height: 2 })
  const features: Float32Array[] = await vit.features([image], { pool: 'mean' })
  const kept: number = await ViT.cacheSize()
  if (kept > 1e9) await ViT.clearCache()
  console.log(batch.length, logits.length, features.length, vit.info.memory.wasm)
  return best.map(({ label, index }) => label ?? `class ${index}`)
}

export async function look(vit: ViT, image: ImageInput): Promise<number> {
  const { grid: [rows, cols], values } = await vit.attention(image, { method: 'head', layer: -1, head: 2, query: 'all' })
  const { colors, raw }: MaskedPrediction = await vit.predictMasked(image, { mask: [0, 1], size: [64, 96], raw: true })
  const [{ probabilities }] = await vit.predictMasked([image], { ratio: 0.75, seed: 3 })
  console.log(colors.length, raw?.width, probabilities.length)
  const { components } = await vit.inspect('filters', { count: 3 })
  const { similarity } = await vit.inspect('positions', { size: 64 })
  const { distance: [[first]] } = await vit.inspect('distance', { images: [image], renormalize: true })
  using probe: Probe = await vit.fitFewShot([{ image, label: 'mug' }, { features: await vit.features(image), label: 'cup' }], { l2: 1 })
  const id: number = await probe.add({ image, label: 'mug' })
  await probe.remove(id)
  const best: Classification[] = await probe.classify(image, { neighbours: 5 })
  const copy = await vit.loadProbe(new Blob([await probe.save()]))
  return rows * cols + values.length + components.length + similarity.length + best.length + (copy.accuracy ?? 0) + first
}

export async function teach(vit: ViT, image: ImageInput): Promise<ViT> {
  using trainer: Trainer = await vit.train({ classes: ['mug', 'plant'], layers: 2, optimizer: 'adamw', steps: 30 })
  const { loss, accuracy } = await trainer.step([{ image, label: 'mug' }, { image, label: 1 }], { signal: AbortSignal.timeout(1000) })
  console.log(loss, accuracy, trainer.labels?.length)
  return ViT.load(new Blob([await trainer.save({ type: 'f16' })]))
}

export function reason(error: unknown): string {
  return error instanceof VitError && error.code === 'cancelled' ? '' : String(error)
}

// @ts-expect-error models are loaded, never constructed
new ViT()
// @ts-expect-error no such option
ViT.load('model.gguf', { thread: 2 })
// @ts-expect-error the number of components is not asked of positions
export const wrong = (vit: ViT) => vit.inspect('positions', { count: 3 })
// @ts-expect-error distances are of images
export const nothing = (vit: ViT) => vit.inspect('distance')
// @ts-expect-error no such code
reason(new VitError('no-such-code', ''))

export const either = (vit: ViT, given: ImageInput | readonly ImageInput[]): Promise<Float32Array | Float32Array[]> => vit.logits(given)
