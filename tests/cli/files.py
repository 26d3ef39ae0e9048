"""Files for the tests of the command line: pictures, weight files, arrays; written and read with nothing but Python."""

import array
import json
import math
import os
import struct
import zlib


def write(path, data):
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "wb") as file:
        file.write(data if isinstance(data, bytes) else data.encode())
    return path


def read(path):
    with open(path, "rb") as file:
        return file.read()


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_header(width, height):
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))


def png(width, height, seed):
    """Waves and blocks of colour, different for every seed."""
    rows = bytearray()
    for y in range(height):
        rows.append(0)
        for x in range(width):
            rows += bytes(
                (
                    (x * (seed + 3) * 5 + y * 7) % 256,
                    (y * (seed + 1) * 9 + (x // 8) * 40) % 256,
                    ((x * x + y * y * (seed + 2)) // 16) % 256,
                )
            )
    return png_header(width, height) + png_chunk(b"IDAT", zlib.compress(bytes(rows), 9)) + png_chunk(b"IEND", b"")


def read_png(path):
    """(width, height, pixels) of 8-bit RGB with all rows in one image."""
    data, at, body = read(path), 8, b""
    assert data[:8] == b"\x89PNG\r\n\x1a\n", "no PNG"
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind, chunk = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", data, at + 8 + length)[0] == zlib.crc32(kind + chunk), kind
        if kind == b"IHDR":
            width, height, *rest = struct.unpack(">IIBBBBB", chunk)
            assert rest == [8, 2, 0, 0, 0], rest
        body += chunk if kind == b"IDAT" else b""
        at += 12 + length
    assert kind == b"IEND"
    rows, stride = zlib.decompress(body), width * 3
    assert len(rows) == height * (stride + 1)
    pixels, above = bytearray(), bytes(stride)
    for y in range(height):
        how, row = rows[y * (stride + 1)], bytearray(rows[y * (stride + 1) + 1 : (y + 1) * (stride + 1)])
        for x in range(stride):
            left, up, corner = row[x - 3] if x >= 3 else 0, above[x], above[x - 3] if x >= 3 else 0
            guess = left + up - corner
            nearest = min((abs(guess - left), 0, left), (abs(guess - up), 1, up), (abs(guess - corner), 2, corner))[2]
            row[x] = (row[x] + (0, left, up, (left + up) // 2, nearest)[how]) % 256
        pixels += row
        above = row
    return width, height, bytes(pixels)


CODES = {"F32": "f", "I32": "i", "I64": "q", "U8": "B", "F16": "H", "BF16": "H"}


def read_safetensors(path):
    """{name: (type, shape, values)}, 16-bit floats as their bits."""
    data = read(path)
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    tensors = {}
    for name, tensor in header.items():
        if name == "__metadata__":
            continue
        begin, end = tensor["data_offsets"]
        values = array.array(CODES[tensor["dtype"]])
        values.frombytes(data[8 + length + begin : 8 + length + end])
        tensors[name] = (tensor["dtype"], tensor["shape"], values)
    return tensors


def safetensors(tensors):
    """Bytes of a file; tensors as above."""
    header, body = {}, b""
    for name, (kind, shape, values) in tensors.items():
        data = array.array(CODES[kind], values).tobytes()
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def read_npy(path):
    """(shape, values) of an array of little-endian f32."""
    data = read(path)
    assert data[:8] == b"\x93NUMPY\x01\x00", "not version 1.0 of .npy"
    length = struct.unpack("<H", data[8:10])[0]
    assert (10 + length) % 64 == 0 and data[9 + length : 10 + length] == b"\n", "header is not padded as it should be"
    header = eval(data[10 : 10 + length])
    assert header["descr"] == "<f4" and header["fortran_order"] is False, header
    values = array.array("f")
    values.frombytes(data[10 + length :])
    return header["shape"], values


def gguf_string(data, at):
    (length,) = struct.unpack_from("<Q", data, at)
    return data[at + 8 : at + 8 + length].decode(), at + 8 + length


def gguf_value_end(data, at, kind):
    """Where a metadata value of this type ends."""
    if kind == 8:
        return gguf_string(data, at)[1]
    if kind == 9:
        element, count = struct.unpack_from("<IQ", data, at)
        at += 12
        for _ in range(count):
            at = gguf_value_end(data, at, element)
        return at
    return at + (1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8)[kind]


def read_gguf(data):
    """(metadata bytes, {name: (kind, shape, offset)}, where data begins) of a GGUF of ours."""
    _, tensors, entries = struct.unpack_from("<IQQ", data, 4)
    at = 24
    for _ in range(entries):
        _, at = gguf_string(data, at)
        at = gguf_value_end(data, at + 4, *struct.unpack_from("<I", data, at))
    metadata, infos = data[:at], {}
    for _ in range(tensors):
        name, at = gguf_string(data, at)
        (rank,) = struct.unpack_from("<I", data, at)
        shape = struct.unpack_from(f"<{rank}Q", data, at + 4)
        kind, offset = struct.unpack_from("<IQ", data, at + 4 + 8 * rank)
        at += 16 + 8 * rank
        infos[name] = (kind, shape, offset)
    return metadata, infos, (at + 31) // 32 * 32


def gguf_as_q8_0(data):
    """A GGUF of F32 with every matrix of whole blocks as Q8_0, and one of F32 with the values that this has."""
    metadata, infos, begin = read_gguf(data)
    assert all(kind == 0 for kind, _, _ in infos.values())
    headers, bodies = [metadata, metadata], [b"", b""]
    for name, (_, shape, offset) in infos.items():
        count = math.prod(shape)
        values = struct.unpack_from(f"<{count}f", data, begin + offset)
        blocks = len(shape) == 2 and shape[0] % 32 == 0
        made = []
        if blocks:
            packed, rounded = b"", []
            for i in range(0, count, 32):
                block = values[i : i + 32]
                (scale,) = struct.unpack("<e", struct.pack("<e", max(map(abs, block)) / 127))
                q = [max(-127, min(127, round(v / scale))) if scale else 0 for v in block]
                packed += struct.pack("<e32b", scale, *q)
                rounded += [scale * v for v in q]
            made = [(8, packed), (0, struct.pack(f"<{count}f", *rounded))]
        else:
            made = [(0, struct.pack(f"<{count}f", *values))] * 2
        for i, (kind, body) in enumerate(made):
            bodies[i] += b"\0" * (-len(bodies[i]) % 32)
            headers[i] += struct.pack("<Q", len(name)) + name.encode()
            headers[i] += struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, len(bodies[i]))
            bodies[i] += body
    return [header + b"\0" * (-len(header) % 32) + body for header, body in zip(headers, bodies)]
