// Tensors of a GGUF file of f32: { name: Float32Array }.

const SIZES = { 0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8 } // of types of values
const [STRING, ARRAY] = [8, 9]

export function readGguf(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let at = 8
  const number = (size) => Number(size === 4 ? view.getUint32((at += 4) - 4, true) : view.getBigUint64((at += 8) - 8, true))
  const text = () => {
    const length = number(8)
    return new TextDecoder().decode(bytes.subarray(at, (at += length)))
  }
  const skip = (type) => {
    if (type === STRING) return text()
    if (type !== ARRAY) return (at += SIZES[type])
    const of = number(4)
    for (let count = number(8); count > 0; count--) skip(of)
  }
  const [tensors, entries] = [number(8), number(8)]
  for (let i = 0; i < entries; i++) text(), skip(number(4))
  const places = Array.from({ length: tensors }, () => {
    const name = text()
    const shape = Array.from({ length: number(4) }, () => number(8))
    const type = number(4)
    if (type !== 0) throw new Error(`${name}: type ${type}, expected f32`)
    return { name, count: shape.reduce((a, b) => a * b, 1), offset: number(8) }
  })
  const data = Math.ceil(at / 32) * 32
  return Object.fromEntries(places.map(({ name, count, offset }) => [name, new Float32Array(bytes.slice(data + offset, data + offset + 4 * count).buffer)]))
}
