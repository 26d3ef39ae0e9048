#!/usr/bin/env python3
"""Times BiT R50x1 and R26+ViT-S/32 with random weights by onnxruntime, 224 pixels, one core: what ours are compared with.

    python tests/bench/convnets.py [r50x1] [r26_s_32]

Needs numpy, onnx and onnxruntime. Standardisation of weights is folded into them, as ours is when a model is loaded.
Prints the fastest and the median of the runs, and which form of group norm gave them.
"""
import os
import sys
import time

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

RUNS = 20


class Graph:
    """An ONNX graph that grows at its end; methods return the name of their result."""

    def __init__(self, norm):
        self.nodes, self.weights, self.norm = [], [], norm
        self.noise = np.random.default_rng(1)

    def tensor(self, array):
        name = f'w{len(self.weights)}'
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def weight(self, *shape, scale=1.0):
        return self.tensor((self.noise.standard_normal(shape) * scale).astype(np.float32))

    def op(self, kind, *inputs, **attributes):
        name = f't{len(self.nodes)}'
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def convolve(self, x, channels, outputs, size=1, stride=1, before=None, after=None):
        before = size // 2 if before is None else before
        after = size // 2 if after is None else after
        w = self.weight(outputs, channels, size, size, scale=(channels * size * size) ** -0.5)
        return self.op('Conv', x, w, kernel_shape=[size] * 2, strides=[stride] * 2, pads=[before] * 2 + [after] * 2)

    def group_norm(self, x, channels, eps, relu=True):
        gain, bias = self.weight(channels), self.weight(channels, scale=0.1)
        if self.norm == 'operator':
            y = self.op('GroupNormalization', x, gain, bias, num_groups=32, epsilon=eps)
        else:  # as exporters write it
            ones, zeros = self.tensor(np.ones(32, np.float32)), self.tensor(np.zeros(32, np.float32))
            y = self.op('Reshape', x, self.tensor(np.array([0, 32, -1], np.int64)))
            y = self.op('Reshape', self.op('InstanceNormalization', y, ones, zeros, epsilon=eps), self.op('Shape', x))
            shape = self.tensor(np.array([channels, 1, 1], np.int64))
            y = self.op('Add', self.op('Mul', y, self.op('Reshape', gain, shape)), self.op('Reshape', bias, shape))
        return self.op('Relu', y) if relu else y

    def linear(self, x, k, n):
        return self.op('Add', self.op('MatMul', x, self.weight(k, n, scale=k ** -0.5)), self.weight(n, scale=0.1))

    def layer_norm(self, x, width):
        return self.op('LayerNormalization', x, self.weight(width), self.weight(width), epsilon=1e-6)


def r50x1(g):
    x = g.convolve('x', 3, 64, 7, 2)
    x = g.op('Pad', x, g.tensor(np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64)))
    x = g.op('MaxPool', x, kernel_shape=[3, 3], strides=[2, 2])
    channels = 64
    for stage, units in enumerate((3, 4, 6, 3)):
        middle = 64 << stage
        for unit in range(units):
            stride = 2 if stage and not unit else 1
            a = g.group_norm(x, channels, 1e-5)
            if not unit:
                x = g.convolve(a, channels, 4 * middle, 1, stride)
            y = g.group_norm(g.convolve(a, channels, middle), middle, 1e-5)
            y = g.group_norm(g.convolve(y, middle, middle, 3, stride), middle, 1e-5)
            x = g.op('Add', g.convolve(y, middle, 4 * middle), x)
            channels = 4 * middle
    x = g.op('Flatten', g.op('GlobalAveragePool', g.group_norm(x, channels, 1e-5)))
    return g.linear(x, channels, 1000)


def r26_s_32(g):
    x = g.group_norm(g.convolve('x', 3, 64, 7, 2, 2, 3), 64, 1e-6)
    x = g.op('MaxPool', x, kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1])
    channels = 64
    for stage in range(4):
        middle = 64 << stage
        for unit in range(2):
            stride = 2 if stage and not unit else 1
            y = g.group_norm(g.convolve(x, channels, middle), middle, 1e-6)
            pads = (0, 1) if stride == 2 else (1, 1)
            y = g.group_norm(g.convolve(y, middle, middle, 3, stride, *pads), middle, 1e-6)
            y = g.group_norm(g.convolve(y, middle, 4 * middle), 4 * middle, 1e-6, relu=False)
            if not unit:
                x = g.group_norm(g.convolve(x, channels, 4 * middle, 1, stride), 4 * middle, 1e-6, relu=False)
            x = g.op('Relu', g.op('Add', y, x))
            channels = 4 * middle
    width, heads, tokens = 384, 6, 50
    x = g.op('Reshape', g.convolve(x, channels, width), g.tensor(np.array([1, width, 49], np.int64)))
    x = g.op('Transpose', x, perm=[0, 2, 1])
    x = g.op('Add', g.op('Concat', g.weight(1, 1, width), x, axis=1), g.weight(1, tokens, width, scale=0.02))
    split = g.tensor(np.array([1, tokens, heads, width // heads], np.int64))
    for _ in range(12):
        y = g.layer_norm(x, width)
        q, k, v = (g.op('Transpose', g.op('Reshape', g.linear(y, width, width), split), perm=perm)
                   for perm in ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]))
        scale = g.tensor(np.array((width // heads) ** -0.5, np.float32))
        y = g.op('MatMul', g.op('Softmax', g.op('Mul', g.op('MatMul', q, k), scale), axis=-1), v)
        y = g.op('Reshape', g.op('Transpose', y, perm=[0, 2, 1, 3]), g.tensor(np.array([1, tokens, width], np.int64)))
        x = g.op('Add', x, g.linear(y, width, width))
        y = g.op('Gelu', g.linear(g.layer_norm(x, width), width, 4 * width))
        x = g.op('Add', x, g.linear(y, 4 * width, width))
    x = g.op('Gather', g.layer_norm(x, width), g.tensor(np.array(0, np.int64)), axis=1)
    return g.linear(x, width, 1000)


def session_of(network, norm):
    g = Graph(norm)
    y = network(g)
    graph = helper.make_graph(g.nodes, network.__name__,
                              [helper.make_tensor_value_info('x', TensorProto.FLOAT, [1, 3, 224, 224])],
                              [helper.make_tensor_value_info(y, TensorProto.FLOAT, [1, 1000])], g.weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 21)], ir_version=10)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=['CPUExecutionProvider'])


def main():
    os.sched_setaffinity(0, {0})
    chosen = [n for n in (r50x1, r26_s_32) if n.__name__ in sys.argv[1:] or len(sys.argv) < 2]
    x = np.random.default_rng(2).standard_normal((1, 3, 224, 224)).astype(np.float32)
    print(f'onnxruntime {onnxruntime.__version__}')
    for network in chosen:
        rows = []
        for norm in ('operator', 'instance'):
            session, times = session_of(network, norm), []
            for _ in range(RUNS):
                begin = time.perf_counter()
                session.run(None, {'x': x})
                times.append(1e3 * (time.perf_counter() - begin))
            rows.append((min(times), sorted(times)[RUNS // 2], norm))
        best = min(rows)
        print(f'{network.__name__:10} {best[0]:7.1f} ms, median {best[1]:.1f} (group norm as {best[2]}; '
              f'{max(rows)[0]:.1f} as {max(rows)[2]})')


main()
