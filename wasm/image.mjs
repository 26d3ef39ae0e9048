// Pictures, as users have them. snapshot() runs where the call is made, readImage() in the engine.

import { VitError, kind, throwIfCancelled } from './errors.mjs'

const isA = (value, ...names) => names.some((name) => globalThis[name] && value instanceof globalThis[name])

// A picture that stays as it is now and can be posted to a worker: canvases, videos and their like become ImageBitmaps,
// which belong to us.
export async function snapshot(image, name) {
  if (isPixels(image)) return checkPixels(image, name)
  if (isBytes(image)) return image
  if (isImageData(image) && !isWide(image)) return checkSides({ data: image.data, width: image.width, height: image.height }, name)
  if (!isA(image, 'ImageData', 'ImageBitmap', 'VideoFrame', 'OffscreenCanvas', 'HTMLCanvasElement', 'HTMLVideoElement', 'HTMLImageElement'))
    throw new VitError('argument', `${name} is ${kind(image)}: an image is encoded bytes, a Blob, ImageData, ImageBitmap, a canvas, a video frame or { pixels, width, height, layout }`)
  try {
    return await createImageBitmap(image)
  } catch (error) {
    throw new VitError('image', `${name}: ${error.message}`, { cause: error })
  }
}

export const isPixels = (image) => !!image && typeof image === 'object' && 'pixels' in image
const isBytes = (image) => isA(image, 'Blob', 'ArrayBuffer') || ArrayBuffer.isView(image)
// By its form: Node has no ImageData.
const isImageData = (image) => !!image && ArrayBuffer.isView(image.data) && image.width > 0 && image.height > 0
// Of another colour space than networks are fed: as a bitmap it is converted.
const isWide = (image) => isA(image, 'ImageData') && image.colorSpace === 'display-p3'

function checkPixels({ pixels, width, height, layout = 'nhwc' }, name) {
  const whole = Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0
  if (!(pixels instanceof Float32Array) || !whole || pixels.length !== 3 * width * height)
    throw new VitError('argument', `${name}: pixels is a Float32Array of 3 x width x height values; found ${kind(pixels)} of ${pixels?.length} for ${width} x ${height}`)
  if (layout !== 'nhwc' && layout !== 'nchw') throw new VitError('argument', `${name}: layout is 'nhwc' or 'nchw', not '${layout}'`)
  return { pixels, width, height, layout }
}

function checkSides(image, name) {
  const { width, height } = image
  if (Number.isInteger(width) && Number.isInteger(height)) return image
  throw new VitError('argument', `${name}: width and height are whole numbers of pixels, found ${kind(width)} ${width} and ${kind(height)} ${height}`)
}

// Hands the snapshots of calls on in the order of the calls.
export class Intake {
  #before = Promise.resolve()

  // snapshots: promises of what snapshot() makes. Brings what use(ready) brings. Bitmaps that did not get as far as the engine,
  // which closes its own, are closed.
  async hand(snapshots, signal, use) {
    const taken = Promise.all(snapshots)
    const before = this.#before
    this.#before = taken.catch(() => {}).then(() => before)
    try {
      throwIfCancelled(signal)
      const ready = await taken
      await before
      return await use(ready)
    } finally {
      for (const one of snapshots) one.then((ready) => ready.close?.(), () => {})
    }
  }
}

// Puts what snapshot() made, of an encoded or plain picture, into the engine.
export async function readImage(wasm, image, name, decode) {
  if (isImageData(image)) {
    const { data, width, height } = image
    if (data.BYTES_PER_ELEMENT !== 1 || data.length !== 4 * width * height)
      throw new VitError('argument', `${name}: ImageData of ${width} x ${height} has 8-bit RGBA values, found ${kind(data)} of ${data.length}`)
    return wasm.setPixels(data, width, height)
  }
  if (isA(image, 'ImageBitmap')) return readBitmap(wasm, image, name)
  const blob = isA(image, 'Blob') ? image : undefined
  const label = blob?.name ? `${name} (${blob.name})` : name
  let bytes
  try {
    bytes = blob ? undefined : new Uint8Array(image.buffer ?? image, image.byteOffset ?? 0, image.byteLength)
    wasm.checkFile(label, blob?.size ?? bytes.length)
    if (blob && decode === 'engine') bytes = await bytesOf(blob)
  } catch (error) {
    throw error instanceof VitError ? error : new VitError(blob ? 'io' : 'argument', `${label}: ${error.message}`, { cause: error })
  }
  if (decode === 'engine') return wasm.decode(label, bytes)
  // a Blob does not take shared memory: slice copies
  return readBitmap(wasm, await decodeInBrowser(blob ?? new Blob([bytes.slice()]), label), label)
}

const HEAD = 1024 // bytes by which the engine tells what a file is

// Of what begins like no picture only that: it may be gigabytes.
async function bytesOf(blob) {
  const head = new Uint8Array(await blob.slice(0, HEAD).arrayBuffer())
  const isPicture = (head[0] === 0xff && head[1] === 0xd8) || (head[0] === 0x89 && head[1] === 0x50)
  return isPicture ? new Uint8Array(await blob.arrayBuffer()) : head
}

async function decodeInBrowser(blob, name) {
  try {
    return await createImageBitmap(blob, { premultiplyAlpha: 'none', colorSpaceConversion: 'none' })
  } catch (error) {
    throw new VitError('image', `${name}: the browser cannot decode it: ${error.message}`, { cause: error })
  }
}

// At full size: resizing is the engine's, a canvas does it otherwise in each browser.
function readBitmap(wasm, bitmap, name) {
  const { width, height } = bitmap
  try {
    wasm.checkSize(width, height)
    const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true })
    context.drawImage(bitmap, 0, 0)
    wasm.setPixels(context.getImageData(0, 0, width, height).data, width, height)
  } catch (error) {
    throw error instanceof VitError ? error : new VitError('image', `${name}: its pixels cannot be read: ${error.message}`, { cause: error })
  } finally {
    bitmap.close()
  }
}
