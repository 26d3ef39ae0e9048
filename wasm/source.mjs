// Where a model comes from. describeSource() turns what the user gave into { configs: [part], weights: part, beside }, which
// read.mjs reads. A part has a name for messages and one of: url, blob, bytes, text, stream. The weights' url may be a folder's;
// beside: the configs are not the user's, but stand beside the weights.

import { VitError, kind } from './errors.mjs'
import { files, pathToFileURL } from './host.mjs'

export async function describeSource(source) {
  if (typeof source === 'string' || source instanceof URL) return describeUrl(await absolute(source))
  if (source && typeof source === 'object' && 'weights' in source) {
    if (source.weights && typeof source.weights === 'object' && 'weights' in source.weights)
      throw new VitError('argument', 'weights within weights: expected a URL, Blob, ArrayBuffer, typed array or ReadableStream')
    const { weights } = await describeSource(source.weights)
    return { configs: await Promise.all([source.config ?? []].flat().map(describeConfig)), weights }
  }
  const part = describeBytes(source, 'weights')
  if (!part) throw new VitError('argument', `a model source is a URL, Blob, ArrayBuffer, typed array, ReadableStream or { config, weights }, not ${kind(source)}`)
  return { configs: [], weights: part }
}

function describeBytes(source, name) {
  if ((source instanceof ArrayBuffer || ArrayBuffer.isView(source)) && isGone(source)) throw new VitError('argument', `${name}: its bytes are gone: they were transferred`)
  if (source instanceof ReadableStream && source.locked) throw new VitError('argument', `${name}: the stream is being read by somebody else`)
  if (source instanceof Blob) return { name: source.name || name, blob: source }
  if (source instanceof ArrayBuffer) return { name, bytes: new Uint8Array(source) }
  if (ArrayBuffer.isView(source)) return { name, bytes: new Uint8Array(source.buffer, source.byteOffset, source.byteLength) }
  if (source instanceof ReadableStream) return { name, stream: source }
}

// Whether bytes were given away.
const isGone = (bytes) => {
  try {
    return !new Uint8Array(bytes.buffer ?? bytes)
  } catch {
    return true
  }
}

// A URL, JSON text, its bytes, or the object that it says.
async function describeConfig(config) {
  if (typeof config === 'string' && config.trimStart().startsWith('{')) return { name: 'config', text: config }
  if (typeof config === 'string' || config instanceof URL) return describeFile(await absolute(config))
  const part = describeBytes(config, 'config')
  if (part) return part
  if (config && typeof config === 'object') return { name: 'config', text: textOf(config) }
  throw new VitError('argument', `a model's config is a URL, JSON text, a Blob, bytes or an object, not ${kind(config)}`)
}

function textOf(config) {
  try {
    return JSON.stringify(config)
  } catch (error) {
    throw new VitError('argument', `a model's config cannot be written as JSON: ${error.message}`, { cause: error })
  }
}

// Where the files of a model are that is loaded from this URL; shards lie beside their index.
export async function addressesOf(source) {
  if (source === undefined) return
  if (!(source instanceof URL) && (typeof source !== 'string' || !source)) throw new VitError('argument', `the address of a model is a URL, not ${source === '' ? "''" : kind(source)}`)
  const { weights, configs } = await describeUrl(await absolute(source))
  const shards = new URL(weights.url).pathname.endsWith('.index.json') ? [new URL('.', weights.url).href] : []
  return [...configs.map(({ url }) => url), weights.folder ? new URL('.', weights.url).href : weights.url, ...shards]
}

// In Node what is not a URL is a path, also one with a colon.
async function absolute(source) {
  if (pathToFileURL && !(source instanceof URL) && !/^(https?|file|blob|data):/i.test(source)) return pathToFileURL(`${source}`)
  try {
    return new URL(source, globalThis.document?.baseURI ?? globalThis.location?.href)
  } catch {
    throw new VitError('argument', `'${source}' is not a URL`)
  }
}

const describeFile = (url) => ({ name: url.href, url: url.href })

async function describeUrl(given) {
  let url = resolveHub(given)
  if (url.protocol === 'file:' && (await isFolder(url))) url = new URL(url.href.replace(/\/*$/, '/'))
  const weights = { ...describeFile(url), folder: url.pathname.endsWith('/') }
  if (!weights.folder && !/\.(safetensors|npz|index\.json)$/.test(url.pathname)) return { configs: [], weights }
  // Most safetensors and npz hold tensors only: what they mean stands beside them.
  const config = (name) => describeFile(new URL(name, url))
  // What says how pictures are fed: timm's config.json, else as transformers looks for it. enough: the key of one after which no
  // other is looked for.
  const processor = (name, enough) => ({ ...config(name), optional: true, enough })
  return {
    configs: [
      { ...config('config.json'), enough: '"pretrained_cfg"' },
      processor('processor_config.json', '"image_processor"'), processor('preprocessor_config.json', '')
    ],
    weights, beside: true
  }
}

// What a model's, a folder's or a file's page on the Hugging Face hub is about; a config there stands for its folder. And a
// repository's folder is one without a slash too.
function resolveHub(url) {
  const [, owner, name, page, revision, ...path] = url.pathname.split('/')
  if (!/^(www\.)?(huggingface|hf)\.co$/.test(url.hostname) || !name)
    return /^\/[^/]+\/[^/]+\/resolve\/[^/]+$/.test(url.pathname) ? new URL(url.pathname + '/', url) : url
  const repository = `https://huggingface.co/${owner}/${name}/resolve/`
  if (!['tree', 'blob', 'raw', 'resolve'].includes(page) || !revision) return new URL(`${repository}main/`)
  if (page === 'tree' && path.at(-1)) path.push('')
  else if (/(?<!\.index)\.json$/.test(path.at(-1))) path.splice(-1, 1, '')
  return new URL(`${repository}${revision}/${path.join('/')}`)
}

const isFolder = (url) => files.stat(url).then((stat) => stat.isDirectory(), () => false)
