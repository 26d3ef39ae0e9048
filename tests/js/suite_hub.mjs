// The part of the suite about models at URLs: folders, broken downloads, checksums, the cache.

import { forget, keep, kept } from '../../wasm/cache.mjs'
import { Sha256 } from '../../wasm/sha256.mjs'
import { assert, describe, equal, rejects, test } from './harness.mjs'

const TIMM = 'golden/forward/timm_cls/'
const FILE = TIMM + 'model.safetensors'
const HF = 'golden/forward/hf_vit/'
const inNode = typeof process === 'object'

const hex = (buffer) => Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, '0')).join('')
const sumOf = async (bytes) => hex(await crypto.subtle.digest('SHA-256', bytes))

// The Cache API, as far as it is used, in memory: for hosts that have none, and where a test wants to have it otherwise. more: methods of
// its cache.
function cachesInMemory(more) {
  const entries = new Map()
  const cache = {
    keys: async () => [...entries.keys()].map((url) => ({ url })),
    match: async (request) => entries.get(request.url ?? request)?.clone(),
    put: async (url, response) => void entries.set(url, new Response(await response.blob(), response)),
    delete: async (request) => entries.delete(request.url ?? request),
    ...more
  }
  return { open: async () => cache, delete: async () => entries.clear() }
}

async function withCaches(caches, use) {
  const before = Object.getOwnPropertyDescriptor(globalThis, 'caches')
  Object.defineProperty(globalThis, 'caches', { value: caches, configurable: true })
  try {
    return await use()
  } finally {
    delete globalThis.caches
    if (before) Object.defineProperty(globalThis, 'caches', before)
  }
}

// What it uses of the suite's own helpers.
export function defineHub({ ViT, url, bytesOf, load, using, streamOf, some, options, has, long }) {
  const image = some(32, 32)
  let answers = 0
  const fresh = () => `name=${Math.random()}-${answers++}` // a name that the server has not heard
  const logitsOf = (source, more) => using(source, more ?? {}, (vit) => vit.logits(image))

  describe('hub', () => {
    test('a folder may have one file, several, an npz or a GGUF', async () => {
      const wanted = await logitsOf(url(TIMM))
      for (const folder of ['several', 'npz', ...(has.native ? ['gguf'] : [])]) {
        equal(await logitsOf(url(`built/${folder}/`)), wanted, folder)
        if (inNode) equal(await logitsOf(`${has.built}/${folder}`), wanted, `${folder} as a path`)
      }
      if (inNode && has.native) {
        const [{ copyFileSync, mkdirSync }, both] = [await import('node:fs'), `${has.built}/both`]
        mkdirSync(both, { recursive: true })
        copyFileSync(`${has.built}/down4x4.gguf`, `${both}/model.gguf`)
        for (const file of ['config.json', 'model.safetensors']) copyFileSync(`tests/${TIMM}${file}`, `${both}/${file}`)
        equal(await using(both, {}, (vit) => vit.info.decoder), 'down4x4', 'a path: GGUF first, as the program has it')
        equal(await logitsOf(url('built/both/')), wanted, 'an address: safetensors first')
      }
      equal(await logitsOf(url('built/several/model.safetensors.index.json')), wanted, 'an index')
      equal(await logitsOf(url('built/npz/model.npz')), wanted, 'an npz')
      equal(await logitsOf({ config: url(TIMM + 'config.json'), weights: url('built/several/') }), wanted, 'with a config')
      const seen = []
      await using(url('built/several/'), { first: image, onProgress: ({ phase, loaded, total }) => phase === 'weights' && seen.push([loaded, total]) }, async (vit) =>
        equal(await vit.first, await vit.classify(image)))
      equal(seen[0][0], 0, 'progress begins')
      equal(seen.at(-1)[0] === seen.at(-1)[1], true, 'progress ends')
    })

    test('a config that is not there is one thing, a server that fails another', async () => {
      const { fetch } = globalThis
      const answering = (status, part) => async (resource, init) => (String(resource.url ?? resource).includes(part) ? new Response('', { status }) : fetch(resource, init))
      try {
        for (const status of [403, 404, 410]) {
          globalThis.fetch = answering(status, 'processor_config')
          await using(url(HF), {}, (vit) => equal(vit.info.input.filter, 'bilinear', `${status}: without it`))
        }
        globalThis.fetch = answering(500, 'processor_config')
        await rejects(load(url(HF)), 'http', 'processor_config.json', '500')
        globalThis.fetch = answering(500, 'config.json')
        await rejects(load(url('built/npz/')), 'http', 'config.json', '500')
      } finally {
        globalThis.fetch = fetch
      }
    })

    test('sources that cannot be read are the caller\'s fault', async () => {
      const [weights, config] = [await bytesOf(FILE), await bytesOf(TIMM + 'config.json')]
      const given = weights.slice()
      structuredClone(given.buffer, { transfer: [given.buffer] })
      await rejects(load({ config, weights: given }), 'argument', 'transferred')
      const itself = {}
      itself.weights = itself
      await rejects(load(itself), 'argument', 'weights within weights')
      for (const wrong of [itself, { depth: 1n }]) await rejects(load({ config: wrong, weights }), 'argument', 'config')
      const stream = streamOf(weights, [1000])
      stream.getReader()
      await rejects(load({ config, weights: stream }), 'argument', 'stream')
      const buffers = new ReadableStream({ start: (c) => (c.enqueue(new ArrayBuffer(9)), c.close()) })
      await rejects(load({ config: buffers, weights }), 'argument', 'ArrayBuffer')
      for (const wrong of ['', 5, null, {}]) for (const call of ['cacheSize', 'clearCache']) await rejects(ViT[call](wrong), 'argument', 'URL')
      if (inNode) await rejects(load('a:b.gguf'), 'io', 'a:b.gguf', 'no such file')
      const totals = []
      const index = { ...JSON.parse(new TextDecoder().decode(await bytesOf('built/several/model.safetensors.index.json'))), metadata: { total_size: '<img>' } }
      const body = encodeURIComponent(JSON.stringify(index))
      await using({ config: url(TIMM + 'config.json'), weights: url(`built/several/model.safetensors.index.json?body=${body}`) }, { onProgress: ({ total }) => totals.push(typeof total) }, () => {})
      assert(totals.every((type) => type !== 'string'), `what an index says of its size: ${totals}`)
    })

    test('what is wrong with a folder is named', async () => {
      await rejects(load(url('built/nowhere/')), 'http', 'built/nowhere/', 'model.safetensors.index.json', 'model.gguf', '404')
      if (inNode) await rejects(load(has.built + '/'), 'io', 'js-test/node/', 'model.gguf')
      await rejects(load(url('built/several-less/')), 'http', 'model-00003-of-00003.safetensors', '404')
      await rejects(load(url('built/several-long/')), 'format', 'model-00002-of-00003.safetensors', 'goes on')
      await rejects(load(url('built/several/'), { sha256: '0'.repeat(64) }), 'argument', 'sha256', 'several')
      const map = { a: '../secret', b: 'https://example.com/b' }
      for (const file of Object.values(map))
        await rejects(load({ config: await bytesOf(TIMM + 'config.json'), weights: url(`built/several/model.safetensors.index.json?body=${encodeURIComponent(JSON.stringify({ weight_map: { a: file } }))}`) }), 'format', file)
    })

    if (long) test('a download that breaks goes on where it broke', async () => {
      const wanted = await logitsOf(url(TIMM))
      for (const query of ['flaky=20000', 'flaky=50000&chunk=7001', `flaky=60000&norange&times=1&${fresh()}`, `flaky=30000&nolength&chunk=9000&times=2&${fresh()}`,
        `busy&times=2&${fresh()}`])
        equal(await logitsOf(url(`${FILE}?${query}`)), wanted, query)
      if (has.native) equal(await logitsOf(url('built/timm_cls.gguf?flaky=40000')), wanted, 'GGUF')
      const loaded = []
      await using(url(`${FILE}?flaky=20000`), { onProgress: (progress) => progress.phase === 'weights' && loaded.push(progress.loaded) }, () => {})
      equal(loaded, [...loaded].sort((a, b) => a - b), 'progress grows')
      await rejects(load(url(`${FILE}?flaky=50000&changing`)), 'http', 'model.safetensors', 'changed')
      await rejects(load(url(`${FILE}?flaky=50000&growing`)), 'http', 'model.safetensors', 'changed')
      await rejects(load(url(`${FILE}?flaky=1`)), 'truncated', 'model.safetensors') // a byte is no progress
      await rejects(load(url(`${FILE}?flaky=50000&gone&times=1&${fresh()}`)), 'http', 'model.safetensors', '404')
      await rejects(load(url(`${FILE}?busy`)), 'http', '503')
      const controller = new AbortController()
      setTimeout(() => controller.abort(), 50)
      await rejects(load(url(`${FILE}?busy`), { signal: controller.signal }), 'cancelled')
    })

    if (long)
      test('connections that are reset, pages behind redirections, compressed bombs', async () => {
        const wanted = await logitsOf(url(TIMM))
        equal(await logitsOf(url(`${FILE}?flaky=70000&reset`)), wanted, 'reset, again and again')
        for (const wrong of [url(`${FILE}?redirect`), { config: url(TIMM + 'config.json?redirect'), weights: url(FILE) }])
          await rejects(load(wrong), 'format', 'HTML')
        await rejects(load({ config: url(TIMM + 'config.json?bomb=12'), weights: url(FILE) }), 'limit', 'config.json', '(option limits.configBytes)')
        await rejects(load(url('built/several/model.safetensors.index.json?bomb=12')), 'limit', 'index.json')
        await rejects(load({ config: url(TIMM + 'config.json'), weights: url(`${FILE}?bomb=12`) }), 'format')
        equal(await logitsOf(url(TIMM)), wanted, 'afterwards')
      })

    test('a load that cannot begin closes its download', async () => {
      const validate = WebAssembly.validate
      const name = `validate-${Math.random()}`
      const isOpen = async () => (await (await fetch(url(`stalled?name=${name}`))).json()).open
      WebAssembly.validate = () => false
      try {
        await rejects(load(url(`${FILE}?stall=1&name=${name}`)), 'unsupported', 'SIMD')
      } finally {
        WebAssembly.validate = validate
      }
      // The request may be on its way still; and Chromium reads on for up to 5 s what it might use the connection after.
      for (let i = 0; i < 200 && (i < 5 || (await isOpen())); i++) await new Promise((done) => setTimeout(done, 200))
      equal(await isOpen(), false, 'a download is open')
    })

    test('SHA-256 in pieces is what the host says', async () => {
      const bytes = Uint8Array.from({ length: 300 }, (_, i) => (i * 167) ^ (i >> 3))
      for (let length = 0; length <= 300; length += length < 130 ? 1 : 17) {
        const sum = new Sha256()
        for (let at = 0; at < length; at += 1 + (at % 71)) sum.update(bytes.subarray(at, Math.min(length, at + 1 + (at % 71))))
        equal(sum.digest(), await sumOf(bytes.subarray(0, length)), `${length} bytes`)
      }
    })

    test('sha256 is checked while the file is read', async () => {
      const [weights, config] = [await bytesOf(FILE), await bytesOf(TIMM + 'config.json')]
      const [right, wrong] = [await sumOf(weights), await sumOf(config)]
      const wanted = await logitsOf(url(TIMM))
      for (const source of [url(TIMM), url(`${FILE}?flaky=40000&chunk=3011`), { config, weights }, { config, weights: streamOf(weights, [1, 7, 4096, 13]) }])
        equal(await logitsOf(source, { sha256: right.toUpperCase() }), wanted)
      await rejects(load(url(TIMM), { sha256: wrong }), 'checksum', FILE, right, wrong)
      await rejects(load({ config, weights: streamOf(weights, [977]) }, { sha256: wrong, first: image }), 'checksum', right)
    })

    test('files are kept where the option cache says so', async () => {
      await ViT.clearCache()
      equal(await ViT.cacheSize(), 0, 'at first')
      const wanted = await logitsOf(url(TIMM))
      equal(await ViT.cacheSize(), 0, 'without the option')
      if (!globalThis.caches) {
        equal(await logitsOf(url(TIMM), { cache: true }), wanted, 'where there is no cache')
        return equal(await ViT.cacheSize(), 0)
      }
      const gone = url(`${FILE}?gone&times=1&flaky=50000&${fresh()}`)
      await rejects(load(gone, { cache: true }), 'http', '404') // it broke after 50000 bytes
      assert((await ViT.cacheSize()) <= (await bytesOf(TIMM + 'config.json')).length + 50000, 'what broke off is kept as far as it came')
      await ViT.clearCache()
      const once = url(`${FILE}?gone&times=1&${fresh()}`)
      const sizes = (await bytesOf(FILE)).length + (await bytesOf(TIMM + 'config.json')).length
      for (let i = 0; i < 3; i++) equal(await logitsOf(once, { cache: true }), wanted, `time ${i}`)
      equal(await ViT.cacheSize(), sizes)
      await rejects(load(once), 'http', '404')
      await rejects(load(once, { cache: true, sha256: '0'.repeat(64) }), 'checksum')
      await rejects(load(once, { cache: true }), 'http', '404') // what was wrong is not kept
      const strange = { config: url(`${TIMM}config.json?body={"error":"later"}&times=1&${fresh()}`), weights: url(FILE) }
      await rejects(load(strange, { cache: true }), 'config')
      equal(await ViT.cacheSize(strange.config), 0, 'a config that was none is not kept')
      equal(await logitsOf(strange, { cache: true }), wanted, 'the right one, when it comes')
      await ViT.clearCache()
      for (const folder of ['several', 'npz', ...(has.native ? ['gguf'] : [])])
        for (let i = 0; i < 2; i++) equal(await logitsOf(url(`built/${folder}/`), { cache: true }), wanted, `${folder} ${i}`)
      const before = await ViT.cacheSize(), npz = await ViT.cacheSize(url('built/npz'))
      assert(npz > 9999 && npz < before && (await ViT.cacheSize(url('built/np'))) === 0, 'of one address')
      await ViT.clearCache(url('built/npz/'))
      equal(await ViT.cacheSize(), before - npz, 'one is cleared')
      const file = url(`${TIMM}model.safetensors`), config = (await bytesOf(TIMM + 'config.json')).length
      equal(await logitsOf(file, { cache: true }), wanted, 'one file')
      equal(await ViT.cacheSize(file), (await bytesOf(FILE)).length + config, 'with the config beside it')
      equal(await ViT.cacheSize(new URL(file).pathname), await ViT.cacheSize(file), 'of a relative address')
      await ViT.clearCache(file)
      equal(await ViT.cacheSize(file), 0, 'of one file')
      await ViT.clearCache()
      equal(await ViT.cacheSize(), 0, 'cleared')
    })

    test('a download that failed or was cancelled goes on the next time', () => withCaches(globalThis.caches ?? cachesInMemory(), async () => {
      await ViT.clearCache()
      const [config, weights, wanted] = [await bytesOf(TIMM + 'config.json'), await bytesOf(FILE), await logitsOf(url(TIMM))]
      async function cancel(source) {
        const controller = new AbortController()
        const onProgress = ({ phase, loaded }) => phase === 'weights' && loaded > 5000 && controller.abort()
        await rejects(load(source, { cache: true, signal: controller.signal, onProgress }), 'cancelled')
      }
      // A file whose first answer does not end, and how much of it is kept once that was cancelled.
      async function begin(query) {
        const name = fresh()
        const address = url(`${FILE}?${query}&${name}`)
        const source = { config, weights: address }
        await cancel(source)
        const asked = async () => (await (await fetch(url(`asked?${name}`))).json()).join()
        return { source, address, size: await ViT.cacheSize(address), asked }
      }
      for (const [query, again] of [['', ''], ['changing', ''], ['norange', ''], ['noparts', ','], ['growing', ','], ['changing&careless', ',']]) {
        const { source, address, size, asked } = await begin(`stall=60000&times=1&${query}`)
        assert(size > 5000 && size <= 60000, `${query}: ${size} bytes are kept`)
        const loaded = []
        const onProgress = ({ phase, loaded: bytes, total }) => phase === 'weights' && loaded.push(bytes, total)
        equal(await logitsOf(source, { cache: true, sha256: await sumOf(weights), onProgress }), wanted, query)
        equal(await asked(), `,bytes=${size}-${again}`, query)
        equal(loaded.slice(-2), [weights.length, weights.length], `${query}: progress`)
        equal(await ViT.cacheSize(address), weights.length, `${query}: whole`)
        equal(await logitsOf(source, { cache: true }), wanted, `${query}: from the cache`)
        equal(await asked(), `,bytes=${size}-${again}`, `${query}: without a request`)
      }
      const weak = await begin('stall=60000&times=1&weak')
      equal(weak.size, 0, 'of what version it is cannot be told')
      equal(await logitsOf(weak.source, { cache: true }), wanted, 'a weak tag')
      equal(await weak.asked(), ',', 'a weak tag')
      const cleared = await begin('stall=60000&times=1')
      await ViT.clearCache(cleared.address)
      equal(await ViT.cacheSize(), 7 * weights.length, 'a part is cleared')
      const twice = await begin('stall=60000&times=2')
      await cancel(twice.source)
      const size = await ViT.cacheSize(twice.address)
      assert(size >= twice.size, `cancelled again, ${size} of ${twice.size} bytes are kept`)
      await rejects(load(twice.source, { cache: true, sha256: '0'.repeat(64) }), 'checksum')
      equal(await twice.asked(), `,bytes=${twice.size}-,bytes=${size}-`)
      equal(await ViT.cacheSize(twice.address), 0, 'what was wrong is not kept')
      const refused = await begin('stall=60000&times=9')
      const deeper = new TextDecoder().decode(config).replace('"depth": 2', '"depth": 3')
      await rejects(load({ config: deeper, weights: refused.address }, { cache: true }), 'missing-tensor')
      equal(await ViT.cacheSize(refused.address), 0, 'nor a part that was wrong')
      if (long) {
        const address = url(`${FILE}?cut=60000`)
        await rejects(load({ config, weights: address }, { cache: true }), 'truncated')
        const size = await ViT.cacheSize(address)
        assert(size > 5000 && size <= 60000, `of a connection that broke ${size} bytes are kept`)
      }
      await ViT.clearCache()
    }))

    test('what there is no room for is not kept', async () => {
      let puts = 0
      const full = cachesInMemory({ put: async () => { throw new Error(`full, for the time ${++puts}`) } })
      await withCaches(full, async () => {
        equal(await logitsOf(url(FILE), { cache: true }), await logitsOf(url(TIMM)))
        equal([puts > 0, await ViT.cacheSize()], [true, 0])
      })
    })

    if (long && !options.worker)
      test('a file is kept in pieces', () => withCaches(globalThis.caches ?? cachesInMemory(), async () => {
        await ViT.clearCache()
        const { signal } = new AbortController()
        const [address, M] = ['https://example.com/large.gguf#1', 1 << 20]
        const bytes = Uint8Array.from({ length: 20 * M }, (_, i) => (i * 167) ^ (i >> 11))
        async function* cut(length, step) {
          for (let at = 0; at < length; at += step) yield bytes.subarray(at, Math.min(length, at + step))
          if (length < 20 * M && length !== 16 * M) throw new Error('the connection broke')
        }
        const write = async (opened) => {
          for await (const _ of (await keep(address, opened)).chunks);
        }
        const broken = (opened) => write(opened).then(() => assert(false, 'it broke'), ({ message }) => equal(message, 'the connection broke'))
        async function read() {
          const file = await kept(address, signal, [])
          const all = new Uint8Array(file.loaded)
          let at = 0
          for await (const chunk of file.chunks) all.set(chunk, (at += chunk.length) - chunk.length)
          equal(at, file.loaded, 'it has what it says')
          equal(await sumOf(all), await sumOf(bytes.subarray(0, at)), 'what was kept')
          return [file.isWhole, file.loaded, file.total, file.tag]
        }
        const total = 20 * M
        await broken({ total, tag: '"1"', chunks: cut(3 * M, 99991) })
        equal(await read(), [false, 3 * M, total, '"1"'], 'of the first piece')
        await broken({ total, tag: '"1"', chunks: cut(17 * M, 3 * M) })
        equal(await read(), [false, 17 * M, total, '"1"'], 'of the fifth')
        await broken({ total, tag: '"1"', chunks: cut(9 * M, 3 * M) }) // by another page
        equal(await read(), [false, 17 * M, total, '"1"'], 'what is there stays')
        await write({ total, tag: '"1"', chunks: cut(total, 3 * M) })
        equal(await read(), [true, total, total, '"1"'], 'whole')
        equal(await ViT.cacheSize(address), total, 'without what the last piece began with')
        await broken({ total, tag: '"2"', chunks: cut(9 * M, 3 * M) })
        await read().then(() => assert(false, 'a mix of versions'), ({ message }) => assert(message.includes('another version'), message))
        await forget(address)
        equal([await kept(address), await ViT.cacheSize()], [undefined, 0], 'forgotten')
        async function* forgotten() { // by another page, meanwhile
          yield bytes.subarray(0, 9 * M)
          await forget(address)
          yield bytes.subarray(9 * M)
        }
        await write({ total, tag: '"1"', chunks: forgotten() })
        equal([await kept(address), await ViT.cacheSize()], [undefined, 0], 'not whole without its beginning')
        await (await caches.open('vit-wasm')).put(address.replace('#1', ''), new Response('of which nobody knows how much it is'))
        equal(await kept(address), undefined, 'an entry without a length')
        await forget(address)
        await broken({ total, chunks: cut(17 * M, 3 * M) })
        equal([await kept(address), await ViT.cacheSize()], [undefined, 0], 'without a tag only what is whole')
        await write({ chunks: cut(16 * M, 3 * M) })
        equal(await read(), [true, 16 * M, 16 * M, undefined], 'of unknown length, without a tag')
        await ViT.clearCache(address)
        equal(await ViT.cacheSize(), 0, 'cleared')
      }))

    if (long && !options.worker)
      test('a cache that does not answer keeps no model from coming', async () => {
        const never = new Promise(() => {})
        const silent = (what, request) => `${request.url ?? request}`.includes(`silent=${what}`)
        const weights = await bytesOf(FILE)
        const headers = { 'content-length': weights.length }
        const half = () => new Response(new ReadableStream({ start: (controller) => controller.enqueue(weights.slice(0, weights.length >> 1)) }), { headers })
        const caches = cachesInMemory({
          match: async (request) =>
            silent('match', request) ? never : silent('body', request) ? new Response(new ReadableStream(), { headers }) : silent('rest', request) ? half() : undefined,
          put: async (request, response) => {
            if (!silent('put', request)) await response.blob()
            if (silent('put', request) || silent('end', request)) await never
          }
        })
        await withCaches(caches, async () => {
          const wanted = await logitsOf(url(TIMM))
          const same = async (query) => equal(await logitsOf(url(FILE + query), { cache: true }), wanted, query)
          await Promise.all(['match', 'body', 'put', 'end'].map((what) => same(`?silent=${what}`)))
          await rejects(load(url(FILE + '?silent=rest'), { cache: true }), 'io', 'model.safetensors', 'next time')
          caches.open = () => never
          await same('?silent=open')
        })
      })
  })
}
