"""Length-prefixed frames between this process and the compiler process: a JSON object and binary parts."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import Any
from typing import IO

_PREFIX = struct.Struct("<II")


def write_frame(stream: IO[bytes], message: dict[str, Any], parts: Sequence[bytes] = ()) -> None:
    """Write one frame: sizes of the JSON and of the list of part sizes, both texts, then the parts."""
    text = json.dumps(message).encode()
    sizes = json.dumps([len(part) for part in parts]).encode()
    stream.write(b"".join((_PREFIX.pack(len(text), len(sizes)), text, sizes, *parts)))
    stream.flush()


def read_frame(stream: IO[bytes]) -> tuple[dict[str, Any], list[bytes]]:
    """Read one frame.

    Raises
    ------
    EOFError
        If the stream ends before the frame does.
    """
    text_size, sizes_size = _PREFIX.unpack(_read_exactly(stream, _PREFIX.size))
    message = json.loads(_read_exactly(stream, text_size))
    sizes = json.loads(_read_exactly(stream, sizes_size))
    return message, [_read_exactly(stream, size) for size in sizes]


def _read_exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise EOFError("the stream ended within a frame" if data else "the stream ended")
    return data
