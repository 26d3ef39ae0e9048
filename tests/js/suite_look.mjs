// The part of the suite about looking inside, and few-shot classes.

import { Wasm } from '../../wasm/module.mjs'
import { assert, close, describe, equal, rejects, test } from './harness.mjs'

const TIMM = 'golden/forward/timm_cls/'
const HF = 'golden/forward/hf_vit/'
const PHOTO = 'golden/preprocess/timm_eval/synth0.png'
const DECODE = 'golden/preprocess/decode/'
const inNode = typeof process === 'object'

// Pictures by class, in the order in which the program finds them.
export const EXAMPLES = {
  'exif "turned"': ['exif_1.jpg', 'exif_3.jpg', 'exif_6.jpg'],
  grün: ['gray.png', 'gray16.png', 'jpeg_gray.jpg'],
  'jpeg 4:2:0': ['jpeg_420.jpg', 'jpeg_422.jpg', 'jpeg_q10.jpg', 'jpeg_restart.jpg']
}

const worst = (values) => Math.max(...values.map(Math.abs))

// What it uses of the suite's own helpers.
export function defineLook({ url, bytesOf, tensorsOf, using, some, pause, options, has, long }) {
  const native = async (name) => JSON.parse(new TextDecoder().decode(await bytesOf(`built/${name}.json`)))
  const examples = async () => {
    const list = Object.entries(EXAMPLES).flatMap(([label, files]) => files.map((file) => ({ label, file })))
    return Promise.all(list.map(async ({ label, file }) => ({ label, image: await bytesOf(DECODE + file) })))
  }

  describe('attention', () => {
    test('as the native program has it', async () => {
      if (!has.native) return
      const png = await bytesOf(PHOTO)
      await using(url(TIMM), {}, async (vit) => {
        for (const [name, asked] of [['rollout', {}], ['rollout.0', { method: 'rollout', layer: 0 }], ['mean.1', { method: 'mean', layer: 1 }],
          ['head.2', { head: 2 }], ['patch.5', { method: 'mean', query: 5 }], ['all', { query: 'mean' }]]) {
          const { grid, values } = await vit.attention(png, asked)
          const wanted = await native(`attention.${name}`)
          equal(grid, wanted.grid, name)
          close(values, wanted.values, 1e-6, name)
        }
      })
    })

    test('is shares, of any layer, patch and size', async () => {
      await using(url(TIMM), {}, async (vit) => {
        const image = some(48, 32)
        const { grid, values } = await vit.attention(image, { method: 'mean', query: 'all', layer: 0 })
        equal(grid, [6, 4])
        equal(values.length, 24 * 24)
        const mean = Array.from({ length: 24 }, (_, key) => values.reduce((sum, value, i) => sum + (i % 24 === key ? value : 0), 0) / 24)
        close((await vit.attention(image, { method: 'mean', query: 'mean', layer: 0 })).values, mean, 1e-6, 'mean of all queries')
        close((await vit.attention(image, { method: 'mean', query: 7, layer: 0 })).values, values.slice(7 * 24, 8 * 24), 0, 'patch 7')
        equal(await vit.attention(image, { layer: -1 }), await vit.attention(image), 'the last layer')
        equal(await vit.attention(image, { query: 'cls' }), await vit.attention(image), 'the class token')
        const [one, other] = await vit.attention([image, some(32, 32, 2)])
        equal(one, await vit.attention(image), 'of a batch')
        equal(other.grid, [4, 4])
        assert(worst([...one.values]) > 0 && one.values.reduce((sum, value) => sum + value) < 1, 'shares')
      })
    })

    test('of hybrids, whose patches are cells of a map; not of ResNets', async () => {
      for (const [folder, patch, grid] of [['hybrid/timm_stem_only', 16, 4], ['bit/timm', 8, 0]]) {
        await using(url(`golden/${folder}/`), {}, async (vit) => {
          const { height, width } = vit.info.input
          equal(vit.info.input.patch, [patch, patch], folder)
          equal(vit.info.network, grid ? 'hybrid' : 'resnet')
          const attention = vit.attention(some(height, width))
          if (grid) equal((await attention).grid, [grid, grid])
          else await rejects(attention, 'argument', 'no attention')
          if (grid) equal(vit.info.input.grid, [grid, grid])
          else await rejects(vit.inspect('distance', { images: some(height, width) }), 'argument', 'no attention')
          equal(vit.info.layers > 0 && vit.info.heads > 0, grid > 0, folder)
        })
      }
    })

    test('of a hybrid whose size is no multiple of its patch', async () => {
      await using(url('golden/hybrid/timm_stem_only/'), { size: 62 }, async (vit) => {
        const { height, width, patch, grid } = vit.info.input
        equal([height, width, patch, grid], [62, 62, [16, 16], [4, 4]])
        equal((await vit.attention(some(height, width))).grid, grid)
      })
    })

    test('costs nothing when it is off', async () => {
      await using(url(TIMM), {}, async (vit) => {
        const image = some(32, 32)
        const logits = await vit.logits(image)
        const { activations } = vit.info.memory
        await vit.attention(image)
        assert(vit.info.memory.activations > activations, 'its own session')
        equal(await vit.logits(image), logits, 'logits afterwards')
        equal(vit.info.memory.activations, activations, 'bytes afterwards')
      })
    })

    test('runs no further than the layer', async () => {
      if (options.worker) return
      const { advance } = Wasm.prototype
      let stages = 0
      Wasm.prototype.advance = function () {
        stages++
        return advance.call(this)
      }
      try {
        await using(url(TIMM), {}, async (vit) => {
          await vit.attention(some(32, 32), { layer: 0 })
          const early = stages
          await vit.attention(some(32, 32))
          assert(2 * early <= stages - early, `${early} stages of ${stages - early}`)
        })
      } finally {
        Wasm.prototype.advance = advance
      }
    })

    test('what is asked wrongly', async () => {
      await using(url(TIMM), {}, async (vit) => {
        const image = some(32, 32)
        for (const [asked, ...words] of [[{ method: 'gaze' }, 'method', 'rollout'], [{ layer: 99 }, 'layer 99'], [{ layer: -99 }, 'layer -99'], [{ layer: 0.5 }, 'layer'],
          [{ layer: null }, 'layer', 'null'], [{ layer: '' }, 'layer', '""'], [{ layer: [] }, 'layer', '[]'],
          [{ head: 99 }, 'head 99'], [{ head: -1 }, 'head'], [{ method: 'head' }, 'needs', 'head'], [{ method: 'mean', head: 0 }, 'head'],
          [{ query: 16 }, 'patch 16'], [{ query: 'dog' }, 'query'], [{ patch: 1 }, "'patch'"]])
          await rejects(vit.attention(image, asked), 'argument', ...words)
        await rejects(vit.attention('photo.jpg'), 'argument')
        await rejects(vit.attention(image, { signal: AbortSignal.abort() }), 'cancelled')
        equal((await vit.attention(image)).grid, [4, 4], 'and it works')
        equal(await vit.attention([]), [], 'no images')
      })
    })
  })

  describe('inspect', () => {
    test('as the native program has it', async () => {
      if (!has.native) return
      await using(url(TIMM), {}, async (vit) => {
        const filters = await vit.inspect('filters', { count: 9 })
        const { filters: count, shape, strengths, components } = await native('filters')
        equal([filters.filters, filters.shape], [count, shape])
        close(filters.strengths, strengths, 1e-5, 'strengths')
        close(filters.components, components.flat(), 1e-4, 'components')
        const { grid, similarity } = await native('positions')
        const positions = await vit.inspect('positions', { size: [32, 48] })
        equal(positions.grid, grid)
        close(positions.similarity, similarity.flat(), 1e-5, 'similarity')
        const images = await Promise.all([PHOTO, '../web/samples/cat.jpg'].map(bytesOf))
        for (const [name, asked] of [['distance', { images }], ['distance.renormalized', { images: images[0], renormalize: true }]]) {
          const { pictures, distance } = await native(name)
          const made = await vit.inspect('distance', asked)
          equal([made.pictures, made.distance.map(({ length }) => length)], [pictures, [3, 3]], name)
          close(made.distance.flat(), distance.flat(), 1e-4, name)
        }
      })
    })

    test('filters and positions', async () => {
      await using(url(TIMM), {}, async (vit) => {
        const { filters, shape, strengths, components, mean } = await vit.inspect('filters')
        equal([strengths.length, components.length, mean.length], [28, 28 * 3 * shape[1] * shape[2], 3 * shape[1] * shape[2]])
        assert(filters >= 28 && strengths.every((value, i) => i === 0 || value <= strengths[i - 1]), 'strongest first')
        const { grid, similarity } = await vit.inspect('positions')
        equal(grid, [4, 4])
        close(Array.from({ length: 16 }, (_, i) => similarity[17 * i]), new Array(16).fill(1), 1e-6, 'each is as itself')
        for (const [what, asked, ...words] of [['thoughts', {}, 'filters', 'thoughts'], [undefined, {}], ['filters', { count: 0 }, 'count'],
          ['filters', { count: 9999 }, '9999'], ['filters', { count: 2 ** 31 }, 'count'], ['filters', { size: 32 }, 'size'], ['positions', { count: 3 }, 'count'], ['positions', { size: 0 }, 'size'],
          ['distance', {}, 'images'], ['distance', { images: [] }, 'images'], ['distance', { images: 'photo.jpg' }], ['distance', { images: some(32, 32), renormalize: 1 }, 'renormalize']])
          await rejects(vit.inspect(what, asked), 'argument', ...words)
        equal((await vit.classify(some(32, 32))).length, 5, 'and the model works')
      })
    })
  })

  describe('few-shot', () => {
    test('as the native program has it', async () => {
      if (!has.native) return
      const png = await bytesOf(PHOTO)
      const [fitted, predicted] = [await native('few-shot'), await native('predicted')]
      const file = await bytesOf('built/few-shot.probe')
      await using(url(TIMM), {}, async (vit) => {
        const ours = await vit.fitFewShot(await examples())
        const theirs = await vit.loadProbe(file)
        for (const probe of [ours, theirs]) {
          equal(probe.classes, Object.entries(EXAMPLES).map(([label, files]) => ({ label, examples: files.length })))
          equal([probe.examples, probe.l2], [fitted.examples, fitted.l2])
          close([probe.accuracy], [fitted.leave_one_out / 100], 1e-9, 'accuracy')
          const scores = await probe.classify(png)
          equal(scores.map(({ label }) => label), predicted.top.map(({ label }) => label))
          close(scores.map(({ score }) => score), predicted.top.map(({ score }) => score), 1e-3, 'scores')
        }
        equal(await theirs.save(), file, 'a file that is read and written')
        if (inNode) await predictedByProgram(await ours.save(), predicted)
      })
    })

    // The file of this host in the native program.
    async function predictedByProgram(bytes, wanted) {
      const [{ execFileSync }, { writeFileSync }, { fileURLToPath }] = await Promise.all(['node:child_process', 'node:fs', 'node:url'].map((name) => import(name)))
      const path = (name) => fileURLToPath(new URL(`../../${name}`, import.meta.url))
      writeFileSync(`${has.built}/ours.probe`, bytes)
      const said = execFileSync(path('build/vit'), ['fewshot', 'predict', '--json', '--model', path(`tests/${TIMM}`), '--probe', `${has.built}/ours.probe`, path(`tests/${PHOTO}`)])
      const { top } = JSON.parse(said)
      equal(top.map(({ label }) => label), wanted.top.map(({ label }) => label), 'the program')
      close(top.map(({ score }) => score), wanted.top.map(({ score }) => score), 1e-3, 'the program')
    }

    test('examples and classes come and go', async () => {
      const all = await examples()
      const png = await bytesOf(PHOTO)
      await using(url(TIMM), {}, async (vit) => {
        const whole = await vit.fitFewShot(all, { l2: 8 })
        const probe = await vit.fitFewShot([], { l2: 8 })
        equal([probe.classes, probe.examples, probe.accuracy, probe.l2], [[], 0, undefined, undefined])
        await rejects(probe.classify(png), 'argument')
        await rejects(probe.save(), 'argument')
        equal(await probe.add(all[0]), 0)
        equal(probe.accuracy === undefined, false)
        // not awaited: in order
        const [, ids] = await Promise.all([probe.add({ label: 'other', image: png }), probe.add(all.slice(1)), probe.remove('other')])
        equal(ids, all.slice(1).map((_, i) => i + 2))
        equal([probe.classes, probe.examples, probe.l2], [whole.classes, all.length, 8])
        const answer = await whole.classify(png)
        equal(await probe.classify(png), answer, 'as fitted at once')
        equal(answer.length, 3)
        equal((await whole.classify([png, all[0].image], { topK: 1 }))[0], answer.slice(0, 1))
        const copy = await vit.loadProbe(new Blob([await probe.save()]), { l2: 8 })
        equal(await copy.classify(png), answer, 'saved and loaded')
        await copy.remove(0)
        equal(copy.classes[0].examples, 2)
        await copy.remove('grün')
        equal(copy.classes.map(({ label }) => label), ['exif "turned"', 'jpeg 4:2:0'])
        for (const { label } of copy.classes) await copy.remove(label)
        equal([copy.classes, copy.accuracy], [[], undefined])
        const votes = await probe.classify(all[0].image, { neighbours: 1 })
        equal([votes[0].label, votes[0].score], [all[0].label, 1], 'the nearest is itself')
        copy.dispose()
        copy.dispose()
        await rejects(copy.classify(png), 'disposed')
        await rejects(copy.add(all[0]), 'disposed')
        equal(await probe.classify(png), answer, 'the others stay')
      })
    })

    test('features instead of pictures', async () => {
      const all = await examples()
      await using(url(TIMM), {}, async (vit) => {
        for (const pool of ['head', 'cls', 'mean']) {
          const features = await vit.features(all.map(({ image }) => image), { pool })
          const probe = await vit.fitFewShot(all.map(({ label }, i) => ({ label, features: features[i] })), { pool })
          const bytes = await probe.save()
          equal(bytes, await (await vit.fitFewShot(all, { pool })).save(), pool)
          equal(await (await vit.loadProbe(bytes)).classify(all[3].image), await probe.classify(all[3].image), `${pool}, loaded`)
        }
      })
    })

    test('what fails changes nothing', async () => {
      const all = await examples()
      const good = new Float32Array(36).fill(1)
      await using(url(TIMM), {}, async (vit) => {
        const probe = await vit.fitFewShot(all)
        const before = await probe.save()
        for (const [example, ...words] of [[{ label: '', features: good }, 'label'], [{ features: good }, 'label'], [{ label: 5, features: good }, 'label'], [{ label: 'a\0b', features: good }, 'label'],
          [{ label: 'a' }, 'image'], [{ label: 'a', image: good, features: good }, 'image'], [{ label: 'a', features: [1] }, 'Float32Array'], [null, 'label'],
          [{ label: 'a', features: good.slice(1) }, '35', '36'], [{ label: 'a', features: good.map((_, i) => (i === 3 ? NaN : i)) }, 'feature 3']]) {
          await rejects(probe.add([{ label: 'new', features: good }, example]), 'argument', ...words)
          await rejects(vit.fitFewShot([example]), 'argument', ...words)
        }
        await rejects(probe.add([{ label: 'new', features: good }, { label: 'new', image: new Uint8Array(7) }]), 'unsupported', 'example 1')
        await rejects(probe.add([{ label: 'new', features: good }, { label: 'new', features: good.map(() => 1e20) }]), 'argument', 'too large')
        equal((await probe.classify(all[0].image)).length, 3, 'it answers still')
        await rejects(probe.add([, all[0]]), 'argument', 'example 0')
        for (const which of [99, -1, 'nobody', 'grün\0', '', 2 ** 40, undefined]) await rejects(probe.remove(which), 'argument')
        await rejects(vit.fitFewShot('all'), 'argument')
        for (const l2 of [0, -1, NaN, Infinity, '1']) await rejects(vit.fitFewShot(all, { l2 }), 'argument', 'l2')
        await rejects(vit.fitFewShot(all, { signal: AbortSignal.abort() }), 'cancelled')
        await rejects(probe.add(all, { signal: AbortSignal.abort() }), 'cancelled')
        await rejects(probe.classify(all[0].image, { neighbours: 0 }), 'argument', 'neighbours')
        equal(await probe.save(), before, 'as it was')
        equal(probe.examples, all.length)
      })
    })

    test('what cannot be fitted without an example stays', async () => {
      const of = (value) => new Float32Array(36).fill(value)
      await using(url(TIMM), {}, async (vit) => {
        const probe = await vit.fitFewShot([{ label: 'far', features: of(1.5e10) }, { label: 'near', features: of(0) }])
        const before = await probe.save()
        for (const which of ['near', 1]) await rejects(probe.remove(which), 'argument', 'too large')
        equal(await probe.save(), before, 'as it was')
        equal([probe.classes.length, await probe.add({ label: 'near', features: of(1) })], [2, 2])
      })
    })

    test('signals end the waiting for other calls', async () => {
      const [{ image, label }] = await examples()
      await using(url(TIMM), {}, async (vit) => {
        const probe = await vit.fitFewShot([{ image, label }])
        const file = await probe.save()
        const adding = probe.add(Array(20).fill({ image: some(256, 256), label: 'other' }))
        let added = false
        adding.then(() => (added = true))
        const features = new Float32Array(36)
        for (const call of [(options) => probe.add({ features, label }, options), (options) => vit.loadProbe(file, options)]) {
          const controller = new AbortController()
          const refused = rejects(call({ signal: controller.signal }), 'cancelled')
          controller.abort()
          await refused
        }
        equal(added, false, 'the call before')
        equal([(await adding).length, probe.examples], [20, 21])
      })
    })

    test('files that are none', async () => {
      const file = await using(url(TIMM), {}, async (vit) => (await vit.fitFewShot(await examples())).save())
      await using(url(HF), {}, (vit) => rejects(vit.loadProbe(file), 'argument', 'another network'))
      await using(url(TIMM), { compute: 'int8' }, async (vit) => equal((await vit.loadProbe(file)).examples, 10, 'int8'))
      await using(url(TIMM), {}, async (vit) => {
        await rejects(vit.loadProbe(file.slice(0, 300)), 'truncated')
        await rejects(vit.loadProbe(await bytesOf(TIMM + 'model.safetensors')), 'format')
        for (const source of ['probe.bin', undefined, [file]]) await rejects(vit.loadProbe(source), 'argument')
        await rejects(vit.loadProbe(new Uint8Array(0)), 'truncated')
        const gone = file.slice()
        structuredClone(gone.buffer, { transfer: [gone.buffer] })
        for (const one of [gone, gone.buffer]) await rejects(vit.loadProbe(one), 'argument', 'loadProbe')
        await rejects(vit.loadProbe(new Uint8Array(4), { signal: AbortSignal.abort() }), 'cancelled') // and nothing else fails later
        equal((await vit.loadProbe(new DataView(new Uint8Array([1, ...file]).buffer, 1))).examples, 10, 'part of a buffer')
      })
    })

    test('nothing is kept', async () => {
      if (options.worker) return
      const { close } = Wasm.prototype
      let kept
      Wasm.prototype.close = function () {
        return (kept = close.call(this))
      }
      try {
        const all = await examples()
        let late
        await using(url(TIMM), {}, async (vit) => {
          const probe = await vit.fitFewShot(all)
          await vit.attention(some(32, 32))
          await vit.loadProbe(await probe.save())
          late = probe.classify(some(32, 32))
          late.catch(() => {})
        })
        await rejects(late, 'disposed')
        await pause()
        equal(kept, 0, 'blocks')
      } finally {
        Wasm.prototype.close = close
      }
    })
  })

  if (has.data && long)
    describe('inside the real ViT-Ti/16', () => {
      test('rollout, heads, positions and filters', async () => {
        const folder = 'data-golden/real/'
        const wanted = await tensorsOf(folder + 'rollout/expected.safetensors')
        await using(url('data/vit_tiny_patch16_224/'), { cropPct: 1 }, async (vit) => {
          for (const name of ['0007', '0167', '0327', '0487', '0647']) {
            const png = await bytesOf(`${folder}rollout/${name}.png`)
            const rollout = wanted[`${name}.rollout`].data
            close((await vit.attention(png)).values, rollout, 0.002 * Math.min(...rollout) + 1e-6, name)
            for (let head = 0; head < 3; head++)
              close((await vit.attention(png, { head })).values, wanted[`${name}.cls_attn_last`].data.slice(196 * head, 196 * (head + 1)), 2e-5, `${name} head ${head}`)
          }
          const { first_image: distances } = await tensorsOf(folder + 'attention_distance/expected.safetensors')
          const { distance } = await vit.inspect('distance', { images: await bytesOf(`${folder}rollout/0007.png`) })
          distance.flat().forEach((one, i) => close([one], [distances.data[i]], 1e-3 * distances.data[i], `distance ${i}`))
          const { similarity } = await tensorsOf(folder + 'posemb_similarity/expected.safetensors')
          close((await vit.inspect('positions')).similarity, similarity.data, 1e-5, 'positions')
          const { components, singular_values: strengths } = await tensorsOf(folder + 'filter_pca/expected.safetensors')
          const filters = await vit.inspect('filters')
          close(filters.components, components.data, 1e-3, 'components')
          close(filters.strengths, strengths.data.slice(0, 28), 1e-3, 'strengths')
        })
      })
    })
}
