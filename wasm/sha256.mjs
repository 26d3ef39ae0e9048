// SHA-256 (FIPS 180-4) of bytes that come in pieces, which the browser's own does not take.

const primes = []
for (let n = 2; primes.length < 64; n++) if (primes.every((p) => n % p)) primes.push(n)
const fraction = (x) => (x % 1) * 2 ** 32 // its first 32 bits
const K = Int32Array.from(primes, (p) => fraction(Math.cbrt(p)))

export class Sha256 {
  #state = Int32Array.from(primes.slice(0, 8), (p) => fraction(Math.sqrt(p)))
  #block = new Uint8Array(64)
  #words = new Int32Array(64)
  #length = 0

  update(bytes) {
    for (let at = 0; at < bytes.length; ) {
      const used = this.#length % 64
      const piece = bytes.subarray(at, at + 64 - used)
      if (piece.length < 64) this.#block.set(piece, used)
      this.#length += piece.length
      at += piece.length
      if (used + piece.length === 64) this.#mix(piece.length < 64 ? this.#block : bytes, piece.length < 64 ? 0 : at - 64)
    }
  }

  // As hexadecimal digits. Afterwards nothing more can be added.
  digest() {
    const bits = this.#length * 8
    const padding = new Uint8Array(((119 - (this.#length % 64)) % 64) + 9)
    const view = new DataView(padding.buffer)
    padding[0] = 0x80
    view.setUint32(padding.length - 8, bits / 2 ** 32)
    view.setUint32(padding.length - 4, bits)
    this.update(padding)
    return Array.from(this.#state, (word) => (word >>> 0).toString(16).padStart(8, '0')).join('')
  }

  #mix(bytes, at) {
    const w = this.#words
    for (let i = 0; i < 16; i++, at += 4) w[i] = (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]
    for (let i = 16; i < 64; i++) {
      const x = w[i - 15]
      const y = w[i - 2]
      const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3)
      const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10)
      w[i] = w[i - 16] + s0 + w[i - 7] + s1
    }
    const state = this.#state
    let [a, b, c, d, e, f, g, h] = state
    for (let i = 0; i < 64; i++) {
      const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7))
      const t1 = (h + s1 + ((e & f) ^ (~e & g)) + K[i] + w[i]) | 0
      const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10))
      const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0
      h = g
      g = f
      f = e
      e = (d + t1) | 0
      d = c
      c = b
      b = a
      a = (t1 + t2) | 0
    }
    state[0] += a
    state[1] += b
    state[2] += c
    state[3] += d
    state[4] += e
    state[5] += f
    state[6] += g
    state[7] += h
  }
}
