// Makes folders of other kinds out of a golden model's: weights in several files, npz, GGUF. For Node.

import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { crc32, deflateSync } from 'node:zlib'

const CONFIG = 'config.json'
const PREPROCESSOR = 'preprocessor_config.json'

// -> [name, dtype, shape, bytes] in the file's order
function tensorsOf(file) {
  const bytes = readFileSync(file)
  const end = 8 + Number(bytes.readBigUInt64LE())
  return Object.entries(JSON.parse(bytes.toString('utf8', 8, end))).filter(([name]) => name !== '__metadata__')
    .map(([name, { dtype, shape, data_offsets: [a, b] }]) => [name, dtype, shape, bytes.subarray(end + a, end + b)])
}

function safetensors(tensors) {
  const header = {}
  let at = 0
  for (const [name, dtype, shape, { length }] of tensors) header[name] = { dtype, shape, data_offsets: [at, (at += length)] }
  const text = Buffer.from(JSON.stringify(header))
  const size = Buffer.alloc(8)
  size.writeBigUInt64LE(BigInt(text.length))
  return Buffer.concat([size, text, ...tensors.map(([, , , bytes]) => bytes)])
}

const little = (...values) => Buffer.concat(values.map(([value, bytes]) => {
  const out = Buffer.alloc(bytes)
  out.writeUIntLE(value, 0, bytes)
  return out
}))

// f32 tensors, stored.
function npz(tensors) {
  const members = []
  const directory = []
  let at = 0
  for (const [tensor, , shape, bytes] of tensors) {
    const head = `{'descr': '<f4', 'fortran_order': False, 'shape': (${shape.map((n) => n + ',').join(' ')}), }`
    const padded = head.padEnd(Math.ceil((head.length + 11) / 64) * 64 - 11) + '\n'
    const data = Buffer.concat([Buffer.from('\x93NUMPY\x01\0', 'latin1'), little([padded.length, 2]), Buffer.from(padded), bytes])
    const name = Buffer.from(tensor + '.npy')
    const rest = [[20, 2], [0, 2], [0, 2], [0, 2], [33, 2], [crc32(data), 4], [data.length, 4], [data.length, 4], [name.length, 2], [0, 2]]
    const member = Buffer.concat([little([0x04034b50, 4], ...rest), name, data])
    directory.push(little([0x02014b50, 4], [20, 2], ...rest, [0, 2], [0, 2], [0, 2], [0, 4], [at, 4]), name)
    members.push(member)
    at += member.length
  }
  const listed = Buffer.concat(directory)
  const count = tensors.length
  return Buffer.concat([...members, listed, little([0x06054b50, 4], [0, 2], [0, 2], [count, 2], [count, 2], [listed.length, 4], [at, 4], [0, 2])])
}

// A Hugging Face model that says in processor_config.json how pictures are fed; `processor` alone, `processors` beside another that
// says otherwise.
export function makeProcessors(from, to) {
  const rules = readFileSync(join(from, PREPROCESSOR))
  const changed = JSON.stringify({ image_processor: { ...JSON.parse(rules), image_mean: [0.2, 0.3, 0.4] } })
  for (const [name, files] of [['processor', {}], ['processors', { [PREPROCESSOR]: rules }]]) {
    mkdirSync(join(to, name), { recursive: true })
    for (const file of [CONFIG, 'model.safetensors']) copyFileSync(join(from, file), join(to, name, file))
    for (const [file, bytes] of Object.entries({ 'processor_config.json': changed, ...files })) writeFileSync(join(to, name, file), bytes)
  }
}

// A grey PNG, 8 bits a pixel.
export function png(pixels, width) {
  const big = (value) => [value >>> 24, value >>> 16, value >>> 8, value].map((byte) => byte & 255)
  const chunk = (kind, bytes) => {
    const body = Buffer.concat([Buffer.from(kind), bytes])
    return Buffer.concat([Buffer.from(big(bytes.length)), body, Buffer.from(big(crc32(body)))])
  }
  const rows = Array.from({ length: pixels.length / width }, (_, y) => [0, ...pixels.slice(y * width, (y + 1) * width)])
  const header = Buffer.from([...big(width), ...big(rows.length), 8, 0, 0, 0, 0])
  return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), chunk('IHDR', header), chunk('IDAT', deflateSync(Buffer.from(rows.flat()))), chunk('IEND', Buffer.alloc(0))])
}

// from: a folder with config.json and model.safetensors of f32 tensors; gguf: the same model. Folders below `to`.
export function makeFolders(from, gguf, to) {
  const tensors = tensorsOf(join(from, 'model.safetensors'))
  const folder = (name, files, config = true) => {
    mkdirSync(join(to, name), { recursive: true })
    if (config) copyFileSync(join(from, CONFIG), join(to, name, CONFIG))
    for (const [file, bytes] of Object.entries(files)) writeFileSync(join(to, name, file), bytes)
  }
  const parts = [0, 1, 2].map((part) => tensors.filter((_, i) => i % 3 === part))
  const named = (part) => `model-0000${part + 1}-of-00003.safetensors`
  const map = Object.fromEntries(parts.flatMap((list, part) => list.map(([name]) => [name, named(part)])))
  const total = tensors.reduce((sum, [, , , bytes]) => sum + bytes.length, 0)
  const index = JSON.stringify({ metadata: { total_size: total }, weight_map: map })
  const shards = Object.fromEntries(parts.map((list, part) => [named(part), safetensors(list)]))
  folder('several', { 'model.safetensors.index.json': index, ...shards })
  folder('several-long', { 'model.safetensors.index.json': index, ...shards, [named(1)]: Buffer.concat([shards[named(1)], Buffer.from('!')]) })
  const { [named(2)]: left, ...two } = shards
  folder('several-less', { 'model.safetensors.index.json': index, ...two })
  folder('npz', { 'model.npz': npz(tensors) })
  if (existsSync(gguf)) folder('gguf', { 'model.gguf': readFileSync(gguf) }, false)
}
