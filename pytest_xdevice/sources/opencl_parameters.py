"""From what a driver says of a kernel's arguments to a signature."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any
from typing import Final

from ..errors import CompileError
from ..kernel.opencl_types import LocalType
from ..kernel.opencl_types import RecordType
from ..kernel.opencl_types import VectorType
from ..kernel.signature import Param
from ..kernel.signature import Signature
from ..kernel.types import PointerType
from ..kernel.types import SCALARS
from ..kernel.types import ScalarType

_SCALARS: Final = {
    "char": "i8", "uchar": "u8", "short": "i16", "ushort": "u16", "int": "i32", "uint": "u32", "long": "i64",
    "ulong": "u64", "half": "f16", "float": "f32", "double": "f64",
}  # fmt: skip
_BUILT_IN: Final = re.compile(r"([a-z]+)(2|3|4|8|16)?")
_REFUSED: Final = {
    "image": "an image: only buffers live on a device, so give it a pointer to the pixels",
    "sampler": "a sampler, which only images need",
    "event": "an event, which a test has no use for",
    "pipe": "a pipe, which only kernels that run at the same time need",
    "queue": "a queue of the device, which a test cannot make",
}


def signature_of(entry: str, arguments: Sequence[dict[str, Any]], place: str = "") -> Signature:
    """Return the signature of a kernel of whose arguments a driver says this; see `runtime.opencl_arguments`.

    Parameters
    ----------
    entry : str
        The kernel's name.
    arguments : sequence of dict
    place : str
        Where it stands, for messages.

    Raises
    ------
    CompileError
        If a test cannot give one of them, such as an image.
    """
    shown = f"{place}: {entry}" if place else entry
    return Signature(entry, tuple(Param(facts["name"], _type(shown, facts)) for facts in arguments))


def signature_key(program: str, entry: str, device: Sequence[str]) -> str:
    """Return under which key a signature is kept that one device told of one program."""
    return hashlib.sha256(json.dumps(["arguments 2", program, entry, *device]).encode()).hexdigest()


def _type(entry: str, facts: dict[str, Any]) -> PointerType | ScalarType | VectorType | RecordType | LocalType:
    written: str = facts["type"]
    what = next((words for start, words in _REFUSED.items() if written.startswith(start)), None)
    if what is not None or facts["image"]:
        raise CompileError(f"{entry}: parameter {facts['name']} is {what or _REFUSED['image']}")
    found = _BUILT_IN.fullmatch(written)
    element = SCALARS[_SCALARS[found[1]]] if found and found[1] in _SCALARS else None
    if facts["space"] == "local":
        return LocalType(element)
    if facts["pointer"]:
        return PointerType(element, "in" if facts["const"] or facts["space"] == "constant" else "inout")
    if element is None and facts["nbytes"]:
        return RecordType(facts["nbytes"])
    if element is None:
        raise CompileError(
            f"{entry}: parameter {facts['name']} is a {written}, of which the device does not tell the size: have it "
            "passed by a pointer"
        )
    assert found is not None
    return VectorType(element, int(found[2])) if found[2] else element
