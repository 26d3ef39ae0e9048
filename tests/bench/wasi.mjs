// Runs a WASI program in JavaScript engines, for timing: arguments, clock, output, and files that it reads from memory.
// In pages and in Node.

const OK = 0
const BAD_FILE = 8
const NO_ENTRY = 44
const UNSUPPORTED = 58
const FOLDER = 3 // of file types, and the descriptor of the only folder
const REGULAR = 4

class Exit extends Error {}

// module: a WebAssembly.Module. files: { name: Uint8Array }, in one folder that is the root. Returns { status, out }.
export function runProgram(module, args, files = {}) {
  const encoder = new TextEncoder()
  const strings = ['program', ...args].map((text) => encoder.encode(text + '\0'))
  const output = []
  const open = new Map() // descriptor -> { bytes, at }
  let status = 0
  let memory

  const view = () => new DataView(memory.buffer)
  const bytesAt = (pointer, length) => new Uint8Array(memory.buffer, pointer, length)
  const textAt = (pointer, length) => new TextDecoder().decode(bytesAt(pointer, length).slice())
  const nameAt = (pointer, length) => textAt(pointer, length).replace(/^(\.?\/)+/, '').replace(/^\.$/, '')
  const vectors = (pointer, count) => Array.from({ length: count }, (_, i) => {
    const at = pointer + 8 * i
    return bytesAt(view().getUint32(at, true), view().getUint32(at + 4, true))
  })

  function describeFile(pointer, type, size) {
    bytesAt(pointer, 64).fill(0)
    view().setUint8(pointer + 16, type)
    view().setBigUint64(pointer + 32, BigInt(size), true)
    return OK
  }

  const calls = {
    args_sizes_get(count, size) {
      view().setUint32(count, strings.length, true)
      view().setUint32(size, strings.reduce((sum, text) => sum + text.length, 0), true)
      return OK
    },
    args_get(pointers, text) {
      for (const [i, string] of strings.entries()) {
        view().setUint32(pointers + 4 * i, text, true)
        bytesAt(text, string.length).set(string)
        text += string.length
      }
      return OK
    },
    environ_sizes_get(count, size) {
      view().setUint32(count, 0, true)
      view().setUint32(size, 0, true)
      return OK
    },
    environ_get: () => OK,
    clock_time_get(clock, precision, result) {
      view().setBigUint64(result, BigInt(Math.round(performance.now() * 1e6)), true)
      return OK
    },
    proc_exit(code) {
      status = code
      throw new Exit()
    },
    fd_prestat_get(fd, result) {
      if (fd !== FOLDER) return BAD_FILE
      view().setUint32(result, 0, true)
      view().setUint32(result + 4, 1, true)
      return OK
    },
    fd_prestat_dir_name(fd, pointer) {
      view().setUint8(pointer, 0x2f) // the slash
      return OK
    },
    fd_fdstat_get(fd, result) {
      bytesAt(result, 24).fill(0xff)
      view().setUint8(result, fd < FOLDER ? 2 : fd === FOLDER ? FOLDER : REGULAR)
      view().setUint16(result + 2, 0, true)
      return OK
    },
    path_filestat_get(fd, follow, pointer, length, result) {
      const name = nameAt(pointer, length)
      if (name === '') return describeFile(result, FOLDER, 0)
      return files[name] ? describeFile(result, REGULAR, files[name].length) : NO_ENTRY
    },
    path_open(fd, follow, pointer, length, how, rights, inheriting, flags, result) {
      const bytes = files[nameAt(pointer, length)]
      if (!bytes) return NO_ENTRY
      const opened = FOLDER + 1 + open.size
      open.set(opened, { bytes, at: 0 })
      view().setUint32(result, opened, true)
      return OK
    },
    fd_read(fd, pointer, count, result) {
      const file = open.get(fd)
      if (!file) return BAD_FILE
      let read = 0
      for (const room of vectors(pointer, count)) {
        const piece = file.bytes.subarray(file.at, file.at + room.length)
        room.set(piece)
        file.at += piece.length
        read += piece.length
      }
      view().setUint32(result, read, true)
      return OK
    },
    fd_write(fd, pointer, count, result) {
      const pieces = vectors(pointer, count).map((piece) => piece.slice())
      output.push(...pieces)
      view().setUint32(result, pieces.reduce((sum, piece) => sum + piece.length, 0), true)
      return OK
    },
    fd_close: () => OK,
    now: () => performance.now() // the package's modules have their clock from it
  }

  const imports = {}
  for (const { module: from, name } of WebAssembly.Module.imports(module))
    (imports[from] ??= {})[name] = calls[name] ?? (() => UNSUPPORTED)
  const instance = new WebAssembly.Instance(module, imports)
  memory = instance.exports.memory
  try {
    instance.exports._start()
  } catch (error) {
    if (!(error instanceof Exit)) throw error
  }
  const decoder = new TextDecoder()
  return { status, out: output.map((piece) => decoder.decode(piece, { stream: true })).join('') }
}
