// The part of the suite about compute: 'int8'.

import { assert, close, describe, equal, test } from './harness.mjs'

// using: loads source with more options, uses it, disposes of it. expected: as in the suite.
export function defineInt8({ using, source, image, expected }) {
  describe('int8', () => {
    test('close to f32, with the same bits in a batch', async () => {
      const exact = await using(source, {}, (vit) => vit.logits(image))
      const spread = Math.max(...exact) - Math.min(...exact)
      await using(source, { compute: 'int8' }, async (vit) => {
        equal(vit.info.compute, 'int8')
        assert(vit.info.kernels.startsWith(expected.kernels) && vit.info.kernels.includes(','), `kernels ${vit.info.kernels}`)
        assert(vit.info.memory.weights < 2 * vit.info.parameters, `${vit.info.memory.weights} bytes of weights`)
        const logits = await vit.logits(image)
        close(logits, exact, 0.1 * spread, 'int8 against f32')
        equal(await vit.logits(image), logits)
        equal((await vit.logits([image, image])).map((one) => [...one]), [[...logits], [...logits]])
      })
    })
  })
}
