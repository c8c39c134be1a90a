"""CTDS files: 14 bytes of header, lengths, positions of <ATN>, tokens, all little endian."""

import array
import lzma
import pathlib
import struct
import sys


class Dataset:
    def __init__(self, lengths, positions, sequences):
        self.lengths = lengths
        self.positions = positions
        self.sequences = sequences  # the bytes of each

    def spread(self, count):
        """`count` sequences at equal distances; from the start again where there are not as many."""
        size = len(self.lengths)
        chosen = [i * size // count if count <= size else i % size for i in range(count)]
        return Dataset(
            [self.lengths[i] for i in chosen],
            [self.positions[i] for i in chosen],
            [self.sequences[i] for i in chosen],
        )

    def write(self, path):
        count = len(self.lengths)
        head = b"CTDS" + struct.pack("<IIH", 0, count, max(self.lengths))
        numbers = struct.pack(f"<{2 * count}H", *self.lengths, *self.positions)
        pathlib.Path(path).write_bytes(head + numbers + b"".join(self.sequences))


def read(path):
    data = pathlib.Path(path).read_bytes()
    if data[:6] == b"\xfd7zXZ\0":
        data = lzma.decompress(data)
    if data[:4] != b"CTDS":
        sys.exit(f"{path}: expected a CTDS file")
    count = struct.unpack_from("<I", data, 8)[0]
    numbers = array.array("H", data[14 : 14 + 4 * count])
    if sys.byteorder == "big":
        numbers.byteswap()
    lengths, positions = list(numbers[:count]), list(numbers[count:])
    sequences, at = [], 14 + 4 * count
    for length in lengths:
        sequences.append(data[at : at + 2 * length])
        at += 2 * length
    if at != len(data):
        sys.exit(f"{path}: expected {at} bytes, found {len(data)}")
    return Dataset(lengths, positions, sequences)
