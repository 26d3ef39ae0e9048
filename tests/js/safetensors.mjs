// Tensors of a safetensors file: { name: { shape, data } }.

const TYPES = { F32: Float32Array, I32: Int32Array, U8: Uint8Array }

export function readSafetensors(bytes) {
  const size = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true))
  const { __metadata__, ...header } = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + size)))
  const read = ({ dtype, shape, data_offsets: [begin, end] }) => ({
    shape,
    data: new TYPES[dtype](bytes.slice(8 + size + begin, 8 + size + end).buffer)
  })
  return Object.fromEntries(Object.entries(header).map(([name, tensor]) => [name, read(tensor)]))
}
