// The part of the suite about training.

import { Wasm } from '../../wasm/module.mjs'
import { assert, close, describe, equal, rejects, test } from './harness.mjs'
import { readGguf } from './gguf.mjs'

const TIMM = 'golden/forward/timm_cls/'
const STEPS = 'golden/train/steps_adamw/'
const DECODE = 'golden/preprocess/decode/'
const MASKED = 'golden/mpp/loss_mean3bit/'
const inNode = typeof process === 'object'

const largest = (values) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
// All of a tensor but the keys' part of qkv's bias, whose gradient is 0 but for rounding.
const judged = (name, values) => (name.endsWith('qkv.bias') ? values.filter((_, i) => Math.floor((3 * i) / values.length) !== 1) : values)
const crossEntropy = (logits, label) => {
  const top = Math.max(...logits)
  return top + Math.log(logits.reduce((sum, z) => sum + Math.exp(z - top), 0)) - logits[label]
}

// What it uses of the suite's own helpers.
export function defineTrain({ url, bytesOf, tensorsOf, load, using, some, rgba, streamOf, pause, options: { worker }, long }) {
  async function training(vit, options, use) {
    const trainer = await vit.train(options)
    try {
      return await use(trainer)
    } finally {
      trainer.dispose()
    }
  }

  if (worker && !long) return
  describe('training', () => {
    test('ten steps are those of PyTorch', async () => {
      const [inputs, wanted] = [await tensorsOf(STEPS + 'input.safetensors'), await tensorsOf(STEPS + 'expected.safetensors')]
      const { x: { shape: [steps, batch, height, width], data }, y } = inputs
      const size = 3 * height * width
      await using({ weights: url(STEPS + 'model.safetensors'), config: url(STEPS + 'case.json') }, {}, (vit) =>
        training(vit, { optimizer: 'adamw', rate: 0.01, weightDecay: 0.1, decay: 'all', warmup: 3, steps }, async (trainer) => {
          const said = []
          for (let step = 0; step < steps; step++) {
            const examples = Array.from({ length: batch }, (_, i) => step * batch + i)
            said.push(await trainer.step(examples.map((i) => ({ image: { pixels: data.slice(i * size, (i + 1) * size), width, height }, label: y.data[i] }))))
          }
          close(said.map(({ loss }) => loss), wanted.losses.data, 1e-4, 'losses')
          close(said.map(({ rate }) => rate), wanted.lrs.data, 1e-6, 'rates')
          equal([trainer.steps, said.at(-1).steps], [steps, steps])
          const found = readGguf(await trainer.save())
          const names = Object.keys(wanted).filter((name) => name.startsWith('final.'))
          equal(names.length, Object.keys(found).length)
          for (const name of names) {
            const tensor = judged(name, wanted[name].data)
            close(judged(name, found[name.slice(6)]), tensor, 2e-3 * largest(tensor), name)
          }
        }))
    })

    test('a step that fails leaves the model as it was, the first for a batch of another size', () =>
      using({ weights: url(TIMM + 'model.safetensors'), config: url(TIMM + 'config.json') }, {}, (vit) => {
        const { height, width } = vit.info.input
        const example = (value) => ({ image: { pixels: new Float32Array(3 * height * width).fill(value), width, height }, label: 0 })
        return training(vit, {}, async (trainer) => {
          const before = await trainer.save()
          await rejects(trainer.step([example(NaN)]), 'argument', 'the loss of update')
          equal(await trainer.save(), before, 'what is saved')
          const { loss, steps } = await trainer.step([example(0), example(1)])
          assert(Number.isFinite(loss) && steps === 1, `${loss} after ${steps}`)
          const after = await trainer.save()
          await rejects(trainer.step([example(NaN), example(0)]), 'argument', 'the loss of update')
          equal(await trainer.save(), after, 'what is saved after a later step')
        })
      }))

    test('options are read when the call is made; disposing and cancelling are seen while what trains arrives', async () => {
      const vit = await load(url(TIMM))
      const classes = ['a', 'b']
      const coming = vit.train({ classes })
      classes.push('c')
      const trainer = await coming
      equal(trainer.labels, ['a', 'b'])
      trainer.dispose()
      await rejects(vit.train({ signal: 5 }), 'argument', 'train', 'signal')
      const controller = new AbortController()
      const cancelled = vit.train({ signal: controller.signal })
      controller.abort()
      await rejects(cancelled, 'cancelled')
      const late = vit.train()
      vit.dispose()
      await rejects(late, 'disposed')
    })

    test('weights that are read again have the SHA-256 that was asked for', async () => {
      const weights = (await bytesOf(TIMM + 'model.safetensors')).slice()
      const sha256 = [...new Uint8Array(await crypto.subtle.digest('SHA-256', weights))].map((byte) => byte.toString(16).padStart(2, '0')).join('')
      await using({ weights, config: url(TIMM + 'config.json') }, { sha256 }, async (vit) => {
        weights[weights.length - 1] ^= 1
        await rejects(vit.train(), 'checksum', sha256)
      })
    })

    if (!long) return

    const pictures = async () => {
      const files = ['gray.png', 'jpeg_420.jpg', 'exif_3.jpg', 'jpeg_q10.jpg']
      const images = await Promise.all(files.map((file) => bytesOf(DECODE + file)))
      return [...images, rgba(50, 40)].map((image, i) => ({ image, label: ['plant', 'mug'][i % 2] }))
    }

    test('a head of other classes: the same bytes for any number of threads; the saved model answers as the trainer', async () => {
      const examples = await pictures()
      const options = { classes: ['mug', 'plant'], rate: 0.02, dropPath: 0.1, seed: 5, size: 64 }
      await using(url(TIMM), { size: 64, cropPct: 1 }, async (vit) => {
        const saved = []
        for (const [threads, seed] of [[1, 5], [2, 5], [1, 6]])
          await training(vit, { ...options, threads, seed }, async (trainer) => {
            equal(trainer.labels, ['mug', 'plant'])
            for (let i = 0; i < 2; i++) await trainer.step(examples)
            saved.push(await trainer.save())
          })
        equal(saved[0], saved[1], 'two threads')
        assert(saved[0].some((byte, i) => byte !== saved[2][i]), 'another seed changes nothing')
      })
      await using(url(TIMM), {}, (vit) =>
        training(vit, { classes: ['mug', 'plant'], crop: 0, flip: 0, rate: 0.05 }, async (trainer) => {
          const said = []
          for (let i = 0; i < 3; i++) said.push(await trainer.step(examples))
          const bytes = await trainer.save()
          const { loss } = await trainer.step(examples)
          assert(said[0].loss > said[2].loss && said[2].loss > loss && said[2].accuracy >= 0 && said[2].imagesPerSecond > 0, 'it learns')
          close([said[0].loss], [Math.LN2], 1e-6, 'a head of zeros')
          await using(bytes, {}, async (again) => {
            equal(again.info.labels, ['mug', 'plant'])
            const logits = await again.logits(examples.map(({ image }) => image))
            const entropies = logits.map((row, i) => crossEntropy(row, again.info.labels.indexOf(examples[i].label)))
            close([entropies.reduce((sum, one) => sum + one) / examples.length], [loss], 1e-5, 'loss of the saved model')
          })
          const small = await trainer.save({ type: 'f16' })
          assert(small.length < 0.6 * bytes.length, 'half the size')
        }))
    })

    test('two trainers at once are of the same bytes, by names and by numbers of classes, whatever a page does with the names', () =>
      using(url(TIMM), {}, async (vit) => {
        const [examples, options] = [await pictures(), { classes: ['mug', 'plant'], rate: 0.02, seed: 3 }]
        const numbered = examples.map(({ image, label }) => ({ image, label: options.classes.indexOf(label) }))
        const trainers = await Promise.all([vit.train(options), vit.train(options)])
        try {
          trainers[0].labels.reverse()
          const said = await Promise.all([examples, numbered, examples, numbered].map((batch, i) => trainers[i % 2].step(batch)))
          equal(said.map(({ steps }) => steps), [1, 1, 2, 2])
          const [named, other] = await Promise.all(trainers.map((trainer) => trainer.save()))
          equal(named, other)
        } finally {
          for (const trainer of trainers) trainer.dispose()
        }
      }))

    test('all inputs of one picture agree', () =>
      using(url(TIMM), {}, async (vit) => {
        const png = await bytesOf('golden/preprocess/timm_eval/synth0.png')
        const images = { bytes: png, ArrayBuffer: png.slice().buffer, Blob: new Blob([png]) }
        if (!inNode) {
          const bitmap = await createImageBitmap(images.Blob)
          const [width, height] = [bitmap.width, bitmap.height]
          const drawn = (canvas) => (canvas.getContext('2d').drawImage(bitmap, 0, 0), canvas)
          const canvas = drawn(Object.assign(document.createElement('canvas'), { width, height }))
          Object.assign(images, { bitmap, canvas, OffscreenCanvas: drawn(new OffscreenCanvas(width, height)), ImageData: canvas.getContext('2d').getImageData(0, 0, width, height) })
        }
        await training(vit, { rate: 0, crop: 0, flip: 0 }, async (trainer) => {
          const losses = {}
          for (const [kind, image] of Object.entries(images)) losses[kind] = (await trainer.step([{ image, label: 1 }])).loss
          equal(losses, Object.fromEntries(Object.keys(images).map((kind) => [kind, losses.bytes])))
        })
      }))

    test('the built-in model: what is saved in fewer bits answers nearly as what is saved whole, and does not know any more what it does not know', () =>
      using(undefined, {}, async (vit) =>
        training(vit, { rate: 1e-3 }, async (trainer) => {
          const [examples, { labels, knownScore }] = [await pictures(), vit.info]
          assert(knownScore > 0, `${knownScore}`)
          await trainer.step(examples.map(({ image }, i) => ({ image, label: labels[i] })))
          const [whole, images] = [await trainer.save(), examples.map(({ image }) => image)]
          const logits = (bytes) =>
            using(bytes, {}, async (again) => {
              equal([again.info.labels, again.info.knownScore], [labels, 0])
              return (await again.logits(images)).flatMap((row) => [...row])
            })
          const wanted = await logits(whole)
          for (const [type, tolerance] of [['f16', 0.01], ['bf16', 0.05], ['q8_0', 0.05], ['q4_0', 0.5]]) {
            const bytes = await trainer.save({ type })
            assert(bytes.length < whole.length, `${type}: ${bytes.length} bytes`)
            close(await logits(bytes), wanted, tolerance * largest(wanted), type)
          }
        })))

    test('what is trained: the head, the last layers, all; of a model in int8 and of convolutions too', async () => {
      const examples = [{ image: some(32, 32), label: 0 }, { image: some(32, 32, 2), label: 1 }]
      const moved = (before, after) => Object.keys(after).filter((name) => after[name].some((value, i) => value !== before[name]?.[i]))
      await using(url(TIMM), { compute: 'int8' }, async (vit) => {
        for (const [layers, isTrained] of [['head', (name) => name.startsWith('head.')], [1, (name) => /^(head|norm|blocks\.1)\./.test(name)], ['all', () => true]])
          await training(vit, { layers, rate: 0.1 }, async (trainer) => {
            const before = readGguf(await trainer.save())
            await trainer.step(examples)
            equal(moved(before, readGguf(await trainer.save())), Object.keys(before).filter(isTrained), `layers ${layers}`)
          })
        await rejects(vit.train({ layers: 3 }), 'argument', 'layers is 3', '2')
      })
      await using(url('golden/hybrid/timm_stem_only/'), {}, async (vit) => {
        const { height, width } = vit.info.input
        const hybrid = [{ image: some(height, width), label: 'a' }, { image: some(height, width, 2), label: 'b' }]
        await training(vit, { classes: ['a', 'b'], rate: 0.1 }, async (trainer) => {
          await trainer.step(hybrid)
          const bytes = await trainer.save()
          const { loss } = await trainer.step(hybrid)
          await using(bytes, {}, async (again) => {
            const logits = await again.logits(hybrid.map(({ image }) => image))
            close([(crossEntropy(logits[0], 0) + crossEntropy(logits[1], 1)) / 2], [loss], 1e-4, 'loss of the saved hybrid')
          })
        })
      })
    })

    test('what cannot be is refused by name', async () => {
      await using(url(TIMM), {}, async (vit) => {
        for (const [options, ...words] of [
          [{ classes: [] }, 'classes'], [{ classes: ['a', 'a'] }, 'classes', 'different'], [{ classes: ['a\nb'] }, 'one line'], [{ classes: 'ab' }, '"ab"'],
          [{ layers: 'some' }, 'layers', "'head'"], [{ layers: 0 }, 'layers'], [{ optimizer: 'lamb' }, 'optimizer', 'lamb', "'adamw'"], [{ rate: NaN }, 'rate'],
          [{ rate: -1 }, 'rate'], [{ steps: 1.5 }, 'steps'], [{ schedule: 'cosine' }, 'steps'], [{ batch: 0 }, 'batch'], [{ labelSmoothing: 2 }, 'labelSmoothing'],
          [{ crop: 1.5 }, 'crop'], [{ flip: '1' }, 'flip'], [{ seed: -1 }, 'seed'], [{ size: 64 }, 'classes'], [{ momentum: 1 }, 'momentum', 'optimizer'],
          [7, 'object']
        ])
          await rejects(vit.train(options), 'argument', 'train', ...words)
        await rejects(vit.train({ classes: ['a'], size: 3 }), 'argument', '3x3', 'patch')
        await training(vit, { dropout: 0.999, dropPath: 0.999, clip: 1e30 }, async (trainer) => equal(trainer.steps, 0, 'the ends of ranges are in them'))
        await training(vit, { batch: 2 }, async (trainer) => {
          const image = some(32, 32)
          for (const [examples, ...words] of [
            [[], 'examples'], ['all', 'examples'], [[{ image, label: 0 }], '2 pictures', 'found 1'], [[{ image, label: 7 }, { image, label: 0 }], 'example 0', '7'],
            [[{ image, label: 0 }, { image, label: 'mug' }], 'example 1', 'mug'], [[{ image, label: 0 }, { image: 'file', label: 0 }], 'image 1', 'String'],
            [[{ image, label: 0 }, { image: some(16, 32), label: 0 }], 'image 1', '16x32', '32x32'], [[null, null], 'example 0'], [[, ,], 'example 0']
          ])
            await rejects(trainer.step(examples), 'argument', ...words)
          await rejects(trainer.step([{ image, label: 0 }, { image: new Uint8Array(9), label: 0 }]), 'unsupported', 'image 1')
          await rejects(trainer.save({ type: 'q5' }), 'argument', 'type', 'q5')
          const { steps, loss } = await trainer.step([{ image, label: 0 }, { image, label: 0 }])
          assert(steps === 1 && loss > 0, 'refusals are no steps')
        })
        await training(vit, {}, async (trainer) => {
          const nothing = { pixels: new Float32Array(3 * 32 * 32).fill(NaN), width: 32, height: 32 }
          await rejects(trainer.step([{ image: nothing, label: 0 }]), 'argument', 'loss of update 0', 'nan')
        })
      })
      await using({ weights: url(MASKED + 'model.safetensors'), config: url(MASKED + 'case.json') }, {}, async (vit) => {
        await rejects(vit.train(), 'argument', 'no classes', 'option classes')
        await training(vit, { classes: ['a', 'b'] }, async (trainer) => equal((await trainer.step([{ image: rgba(50, 40), label: 'b' }])).steps, 1))
      })
      await using(streamOf(await bytesOf('built/timm_cls.gguf'), [1 << 16]), {}, async (vit) => rejects(vit.train(), 'unsupported', 'stream')).catch((e) => {
        if (e.code !== 'format') throw e // without the native program there is no such file
      })
    })

    test('nothing is kept', async () => {
      if (worker) return
      const { close } = Wasm.prototype
      const kept = []
      Wasm.prototype.close = function () {
        return kept.push(close.call(this)), kept.at(-1)
      }
      try {
        await using(url(TIMM), {}, async (vit) => {
          await training(vit, { classes: ['mug', 'plant'], layers: 1 }, async (trainer) => {
            await trainer.step(await pictures())
            await trainer.save()
          })
          await rejects(vit.train({ layers: 9 }), 'argument')
        })
        await pause()
        equal(kept, [0, 0, 0], 'blocks')
      } finally {
        Wasm.prototype.close = close
      }
    })

    test('is cancelled, and goes on; is disposed', async () => {
      const examples = await pictures()
      await using(url(TIMM), {}, async (vit) => {
        await rejects(vit.train({ signal: AbortSignal.abort() }), 'cancelled')
        const trainer = await vit.train({ classes: ['mug', 'plant'], batch: 5 })
        const controller = new AbortController()
        const step = trainer.step(examples, { signal: controller.signal })
        controller.abort()
        await rejects(step, 'cancelled')
        const { steps } = await trainer.step(examples)
        assert(steps === 1 || steps === 2, `${steps} steps`)
        await training(vit, { classes: ['mug', 'plant'], batch: 100 }, async (another) => {
          const [before, image, stopping] = [await another.save(), rgba(1000, 1000), new AbortController()] // long to read, so that it is stopped before the step itself
          const half = another.step(Array.from({ length: 100 }, () => ({ image, label: 0 })), { signal: stopping.signal })
          await pause()
          stopping.abort()
          await rejects(half, 'cancelled')
          equal(await another.save(), before, 'half a step changes nothing')
        })
        const last = trainer.step(examples)
        trainer.dispose()
        trainer.dispose()
        await rejects(last, 'disposed')
        await rejects(trainer.step(examples), 'disposed')
        await rejects(trainer.save(), 'disposed')
        equal((await vit.logits(some(32, 32))).length, vit.info.labels?.length ?? 7, 'the model is as it was')
      })
      const vit = await load(url(TIMM))
      vit.dispose()
      await rejects(vit.train(), 'disposed')
    })
  })
}
