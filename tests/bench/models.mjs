// Writes ViT-Ti, S and B (patch 16, 224 pixels, 1000 classes), BiT R50x1 and R26+ViT-S/32 with random weights, as timm has
// them, for timing: a folder for each, with model.safetensors and config.json. What is there already stays.
//   node tests/bench/models.mjs FOLDER

import { mkdir, open, rename, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { MODELS } from './measure.mjs'

const CLASSES = 1000
const LAYERS = 12

// [name, shape, standard deviation, mean]
const convolution = (name, inputs, outputs, side) => [`${name}.weight`, [outputs, inputs, side, side], (inputs * side * side) ** -0.5, 0]
const vectors = (name, width) => [[`${name}.weight`, [width], 0.1, 1], [`${name}.bias`, [width], 0.1, 0]]

// Returns how many channels come out.
function residual(list, prefix, units, norms) {
  let channels = 64
  list.push(convolution(prefix + 'stem.conv', 3, channels, 7))
  if (norms) list.push(...vectors(prefix + 'stem.norm', channels))
  units.forEach((blocks, stage) => {
    const middle = 64 << stage
    for (let block = 0; block < blocks; block++) {
      const unit = `${prefix}stages.${stage}.blocks.${block}.`
      for (const [i, inputs, outputs, side] of [[1, channels, middle, 1], [2, middle, middle, 3], [3, middle, 4 * middle, 1]])
        list.push(...vectors(`${unit}norm${i}`, norms ? outputs : inputs), convolution(`${unit}conv${i}`, inputs, outputs, side))
      if (!block) list.push(convolution(unit + 'downsample.conv', channels, 4 * middle, 1))
      if (!block && norms) list.push(...vectors(unit + 'downsample.norm', 4 * middle))
      channels = 4 * middle
    }
  })
  return channels
}

function bit(units) {
  const list = []
  const channels = residual(list, '', units, false)
  list.push(...vectors('norm', channels), convolution('head.fc', channels, CLASSES, 1), ['head.fc.bias', [CLASSES], 0.1, 0])
  return list
}

function tensors({ width, units }) {
  const list = []
  if (!width) return bit(units)
  const channels = units ? residual(list, 'patch_embed.backbone.', units, true) : 3
  const side = units ? 1 : 16
  const tokens = units ? 50 : 197
  const linear = (name, inputs, outputs) =>
    list.push([`${name}.weight`, [outputs, inputs], inputs ** -0.5, 0], [`${name}.bias`, [outputs], 0.1, 0])
  const norm = (name) => list.push(...vectors(name, width))
  list.push(['cls_token', [1, 1, width], 0.5, 0], ['pos_embed', [1, tokens, width], 0.5, 0])
  list.push(['patch_embed.proj.weight', [width, channels, side, side], 2 * (channels * side * side) ** -0.5, 0], ['patch_embed.proj.bias', [width], 0.1, 0])
  for (let i = 0; i < LAYERS; i++) {
    const block = `blocks.${i}.`
    norm(block + 'norm1')
    linear(block + 'attn.qkv', width, 3 * width)
    linear(block + 'attn.proj', width, width)
    norm(block + 'norm2')
    linear(block + 'mlp.fc1', width, 4 * width)
    linear(block + 'mlp.fc2', 4 * width, width)
  }
  norm('norm')
  linear('head', width, CLASSES)
  return list
}

const product = (shape) => shape.reduce((a, b) => a * b)

let state = 1
// Four uniform numbers make one that is normal enough.
function fill(values, deviation, mean) {
  const scale = deviation * Math.sqrt(3 / 4) * 2 ** -31
  for (let i = 0; i < values.length; i++) {
    let sum = 0
    for (let j = 0; j < 4; j++) sum += state = (Math.imul(state, 1664525) + 1013904223) | 0
    values[i] = mean + scale * sum
  }
}

async function write(folder, model) {
  const list = tensors(model)
  const header = {}
  let end = 0
  for (const [name, shape] of list) header[name] = { dtype: 'F32', shape, data_offsets: [end, (end += 4 * product(shape))] }
  const json = new TextEncoder().encode(JSON.stringify(header).padEnd(Math.ceil(JSON.stringify(header).length / 8) * 8))
  const size = new BigUint64Array([BigInt(json.length)])
  await mkdir(folder, { recursive: true })
  const path = join(folder, 'model.safetensors')
  const file = await open(path + '.part', 'w')
  await file.write(new Uint8Array(size.buffer))
  await file.write(json)
  state = 1
  for (const [, shape, deviation, mean] of list) {
    const values = new Float32Array(product(shape))
    fill(values, deviation, mean)
    await file.write(new Uint8Array(values.buffer))
  }
  await file.close()
  const preprocess = { input_size: [3, 224, 224], interpolation: 'bicubic', crop_pct: 0.9, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] }
  const config = { architecture: model.architecture, num_classes: CLASSES, pretrained_cfg: preprocess }
  await writeFile(join(folder, 'config.json'), JSON.stringify(config))
  await rename(path + '.part', path)
}

for (const [name, model] of Object.entries(MODELS)) {
  const folder = join(process.argv[2], name)
  const done = await stat(join(folder, 'model.safetensors')).catch(() => null)
  if (!done) await write(folder, model)
}
