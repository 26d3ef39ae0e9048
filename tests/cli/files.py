"""Files for the tests of the command line: pictures, weight files, arrays; written and read with nothing but Python."""

import array
import json
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


CODES = {"F32": "f", "I32": "i", "U8": "B", "F16": "H", "BF16": "H"}


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
