"""Artifacts as they are kept in the cache: under which key, and of which bytes."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
from typing import Any
from typing import Final

from .artifact import Artifact
from .artifact import FORMAT
from .kernel.signature import Signature
from .target import Target
from .toolchain.linker import Linker
from .toolchain.parts import Parts

_EMISSION: Final = 2  # counts the changes to what is made of the same IR, for what is kept in the cache


def cache_key(text: str, signature: Signature, target: Target, linker: Linker | None, parts: Parts) -> str:
    """Return the key of what is built of LLVM IR and `parts` for a target: of all that may make it another."""
    return digest_of(
        text,
        parts.digest,
        json.dumps(signature.to_json()),
        str(target),
        str(target.glibc),
        f"{linker.identity} {linker.line(target)}" if linker else "no linker",
        _tools(),
    )


def host_cpu_key(boot: str) -> str:
    """Return the key of what LLVM calls the CPU of the machine that was started as `boot`."""
    return digest_of("host CPU", boot, _tools())


def digest_of(*texts: str) -> str:
    """Return 64 hexadecimal digits that are others for other texts."""
    digest = hashlib.sha256()
    for text in texts:
        data = text.encode()
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


@functools.cache
def _tools() -> str:
    try:
        own = importlib.metadata.version("pytest-xdevice")
    except importlib.metadata.PackageNotFoundError:
        own = "not installed"
    backend = importlib.metadata.version("llvmlite")
    return f"format {FORMAT}, emission {_EMISSION}, pytest-xdevice {own}, llvmlite {backend}"


def pack(artifact: Artifact) -> bytes:
    """Return an artifact for a CPU as the bytes that are kept of it."""
    llvm_ir = artifact.llvm_ir.encode()
    facts = {
        "signature": artifact.signature.to_json(),
        "target": artifact.target,
        "key": artifact.key,
        "object": len(artifact.object),
        "threads": artifact.threads,
    }
    return b"".join((json.dumps(facts).encode(), b"\n", artifact.object, llvm_ir))


def unpack(data: bytes) -> Artifact | None:
    """Read what `pack` wrote; None for anything else, which is then built anew."""
    header, _, rest = data.partition(b"\n")
    try:
        facts: dict[str, Any] = json.loads(header)
        signature = Signature.from_json(facts["signature"])
        size = int(facts["object"])
        return Artifact(
            "cpu",
            signature,
            facts["target"],
            facts["key"],
            object=rest[:size],
            ir=rest[size:].decode(),
            threads=facts["threads"],
        )
    except (ValueError, KeyError, TypeError):
        return None
