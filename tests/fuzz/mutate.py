"""Cases made of what should come, by a few changes at random places."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from typing import Final

from pytest_xdevice.runtime.wire import MAGIC

_WORDS: Final = (
    b"", b"\0", b"\n", b'"', b"{", b"}", b"[", b"]", b"[" * 3000, b"null", b"-1", b"1e999", b"NaN", b"1" * 400,
    b"\\ud800", b"\\u0000", b"\xff\xfe", b"../", b"\xf0\x9f\x98\x80", b"true", b"XDW1", b'{"ok":', b'"nbytes"', b'"id"',
    struct.pack("!I", 0xFFFFFFFF), struct.pack("!Q", 1 << 44), struct.pack("!Q", 1 << 63), struct.pack("!I", 16 << 20),
)  # fmt: skip


def mutated(seed: Sequence[bytes], random: random.Random) -> bytes:
    """Return one of the seeds with one to eight changes, or one in fifty times bytes that mean nothing.

    Every other time what is changed of a frame is its head alone, whose length is then told rightly: otherwise few
    cases would get beyond that.
    """
    if random.random() < 0.02:
        return random.randbytes(random.randrange(400))
    chosen = random.choice(seed)
    if chosen.startswith(MAGIC) and random.random() < 0.5:
        length, count = struct.unpack_from("!II", chosen, 4)
        start = 12 + 8 * count
        head = _changed(chosen[start : start + length], seed, random)
        return MAGIC + struct.pack("!II", len(head), count) + chosen[12:start] + head + chosen[start + length :]
    return _changed(chosen, seed, random)


def _changed(text: bytes, seed: Sequence[bytes], random: random.Random) -> bytes:
    data = bytearray(text)
    for _ in range(random.choice((1, 1, 1, 2, 3, 8))):
        _change(data, seed, random)
    return bytes(data)


def _change(data: bytearray, seed: Sequence[bytes], random: random.Random) -> None:
    at = random.randrange(len(data) + 1)
    end = min(len(data), at + random.choice((0, 1, 1, 2, 4, 8, 64)))
    kind = random.randrange(6)
    if kind == 0:
        data[at:end] = random.randbytes(random.randrange(9))
    elif kind == 1:
        data[at:end] = random.choice(_WORDS)
    elif kind == 2:
        data[at:at] = random.choice(seed)[: random.randrange(200)]
    elif kind == 3:
        del data[at:]
    elif kind == 4 and at < len(data):
        data[at] ^= 1 << random.randrange(8)
    else:
        data[at:end] = str(random.choice((-1, 0, 1, 255, 1 << 31, 1 << 63, 1 << 70))).encode()
