"""Checks by decoding their code that a module with `relaxed` in its name has relaxed SIMD instructions, and that any
other has SIMD but no relaxed one.

    audit_opcodes.py MODULE.wasm...
"""

import sys

# Immediates after an opcode byte of the core specification; what is not listed has none.
LEB = "one LEB128"
BLOCK = LEB  # a block type is a signed LEB128
MEMORY = "alignment and offset"
IMMEDIATES = {
    0x02: BLOCK, 0x03: BLOCK, 0x04: BLOCK, 0x06: BLOCK,  # block, loop, if, try
    0x07: LEB, 0x08: LEB, 0x09: LEB, 0x18: LEB, 0x19: None,  # legacy exceptions
    0x0C: LEB, 0x0D: LEB, 0x0E: "br_table", 0x10: LEB, 0x11: "two LEB128", 0x12: LEB, 0x13: "two LEB128",
    0x1C: "select types", 0x1F: "try_table",
    **{code: LEB for code in range(0x20, 0x27)},  # locals, globals, tables
    **{code: MEMORY for code in range(0x28, 0x3F)},
    0x3F: LEB, 0x40: LEB, 0x41: LEB, 0x42: LEB, 0x43: 4, 0x44: 8, 0xD0: LEB, 0xD2: LEB,
}
BULK = {8: "two LEB128", 9: LEB, 10: "two LEB128", 11: LEB, 12: "two LEB128", 13: LEB, 14: "two LEB128",
        15: LEB, 16: LEB, 17: LEB}  # 0xFC
FIRST_RELAXED = 0x100  # 0xFD


class Reader:
    def __init__(self, data, at=0):
        self.data, self.at = data, at

    def byte(self):
        self.at += 1
        return self.data[self.at - 1]

    def leb(self):
        """An unsigned LEB128; of a signed one only its length matters here."""
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def skip(self, immediate):
        if immediate is None:
            return
        if isinstance(immediate, int):
            self.at += immediate
        elif immediate == MEMORY:
            if self.leb() & 0x40:  # names its memory
                self.leb()
            self.leb()
        elif immediate == "br_table" or immediate == "select types":
            for _ in range(self.leb() + (immediate == "br_table")):
                self.leb()
        elif immediate == "try_table":
            self.leb()
            for _ in range(self.leb()):
                if self.byte() < 2:
                    self.leb()
                self.leb()
        else:
            for _ in range(2 if immediate == "two LEB128" else 1):
                self.leb()


def simd_immediate(code):
    if code <= 0x0B or code in (0x5C, 0x5D):
        return MEMORY
    if code in (0x0C, 0x0D):  # constant, shuffle
        return 16
    if 0x15 <= code <= 0x22:  # lanes
        return 1
    return "lane memory" if 0x54 <= code <= 0x5B else None


def functions(data):
    """The instruction ranges (begin, end) of the code section."""
    if data[:8] != b"\0asm\1\0\0\0":
        raise ValueError("not a WebAssembly module")
    reader = Reader(data, 8)
    while reader.at < len(data):
        section, size = reader.byte(), reader.leb()
        end = reader.at + size
        if section == 10:
            for _ in range(reader.leb()):
                size = reader.leb()
                function_end = reader.at + size
                for _ in range(reader.leb()):  # locals: count, type
                    reader.leb()
                    reader.leb()
                yield reader.at, function_end
                reader.at = function_end
        reader.at = end


def count_simd(data):
    """(SIMD instructions, relaxed ones among them)"""
    simd = relaxed = 0
    for begin, end in functions(data):
        reader = Reader(data, begin)
        while reader.at < end:
            code = reader.byte()
            if code == 0xFD:
                simd_code = reader.leb()
                immediate = simd_immediate(simd_code)
                simd += 1
                relaxed += simd_code >= FIRST_RELAXED
                if immediate == "lane memory":
                    reader.skip(MEMORY)
                    immediate = 1
                reader.skip(immediate)
            elif code == 0xFC:
                reader.skip(BULK.get(reader.leb()))
            elif code == 0xFE:  # atomics; 3 is the fence
                reader.skip(1 if reader.leb() == 3 else MEMORY)
            elif code > 0xD2:
                raise ValueError(f"unknown opcode {code:#x} at {reader.at - 1}")
            else:
                reader.skip(IMMEDIATES.get(code))
        if reader.at != end or data[end - 1] != 0x0B:
            raise ValueError(f"a function at {begin} does not end where it says")
    return simd, relaxed


def main():
    failed = 0
    for path in sys.argv[1:]:
        with open(path, "rb") as file:
            simd, relaxed = count_simd(file.read())
        wants = "relaxed" in path.rsplit("/", 1)[-1]
        good = simd > 0 and (relaxed > 0) == wants
        failed += not good
        print(f"{path}: {simd} SIMD instructions, {relaxed} relaxed" + ("" if good else "  WRONG"))
    print(f"{len(sys.argv) - 1 - failed} passed, {failed} failed")
    sys.exit(failed > 0)


main()
