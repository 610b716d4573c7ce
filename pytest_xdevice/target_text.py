"""Reading targets as they are written: triples in any usual spelling, and TVM's options of LLVM."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from collections.abc import Iterator
from typing import Final

from .errors import TargetError

ARCHITECTURES: Final = {
    "x86_64": "x86_64", "amd64": "x86_64", "x86-64": "x86_64",
    "i386": "i686", "i486": "i686", "i586": "i686", "i686": "i686", "x86": "i686",
    "aarch64": "aarch64", "arm64": "aarch64", "armv8": "aarch64", "armv8a": "aarch64", "armv8-a": "aarch64",
    "arm": "arm", "armhf": "armv7l", "armel": "armv5te",
    "armv5": "armv5te", "armv5te": "armv5te", "armv5tel": "armv5te", "armv5tejl": "armv5te",
    "armv6": "armv6l", "armv6l": "armv6l", "armv6k": "armv6l", "armv6kz": "armv6l", "armv6hf": "armv6l",
    "armv7": "armv7l", "armv7l": "armv7l", "armv7a": "armv7l", "armv7-a": "armv7l", "armv7hf": "armv7l",
    "armv7hl": "armv7l", "armv7hnl": "armv7l", "armv8l": "armv8l",
    "riscv64": "riscv64", "riscv64gc": "riscv64", "rv64gc": "riscv64",
}  # fmt: skip
_VENDORS: Final = frozenset({"unknown", "pc", "none", "redhat", "suse", "alpine", "poky", "buildroot", "oe", "rpi"})
_ENVIRONMENTS: Final = frozenset(
    {"gnu", "musl", "android", "gnueabi", "gnueabihf", "musleabi", "musleabihf", "androideabi"}
)
_OPTIONS: Final = ("-mtriple", "-target", "-mcpu", "-mattr", "-mabi", "-mfloat-abi")
# TVM's hints to its schedulers say nothing about code generation.
_TVM_HINTS: Final = ("-device", "-model", "-keys", "-num-cores", "-libs")
EXAMPLE: Final = "'aarch64-linux-gnu' or 'llvm -mtriple=armv7l-linux-gnueabihf -mcpu=cortex-a7 -mattr=+neon'"


def split_triple(triple: str) -> tuple[str, str]:
    """Return architecture and environment of a triple in any usual spelling.

    Raises
    ------
    TargetError
        If one of them is unknown; the message offers names that are near it.
    """
    text = triple.strip().lower()
    first, *rest = ("x86_64" + text[6:] if text.startswith("x86-64") else text).split("-")
    if rest[:1] == ["a"] and f"{first}-a" in ARCHITECTURES:
        first, rest = f"{first}-a", rest[1:]
    if first == "armv8" and any(part.endswith(("eabi", "eabihf")) for part in rest):
        first = "armv8l"
    if first not in ARCHITECTURES:
        raise TargetError(
            f"unknown architecture {first!r} in the target {triple!r}{near(first, ARCHITECTURES)}; supported are "
            f"x86_64, i686, aarch64, armv6l, armv7l, armv8l and riscv64: write, for instance, {EXAMPLE}"
        )
    if rest and rest[0] in _VENDORS:
        rest = rest[1:]
    if rest and rest[0] == "linux":
        rest = rest[1:]
    architecture = ARCHITECTURES[first]
    environment = rest[0] if len(rest) == 1 else "gnu" if not rest else "-".join(rest)
    if environment == "unknown":
        environment = "gnu"
    if architecture.startswith("arm") and environment in ("gnu", "musl", "android"):
        soft = first in ("armel",) or architecture == "armv5te" or environment == "android"
        environment += "eabi" if soft else "eabihf"
    expected = {name for name in _ENVIRONMENTS if ("eabi" in name) == architecture.startswith("arm")}
    if environment not in expected:
        raise TargetError(
            f"the target {triple!r} ends in {environment!r}{near(environment, expected)}; devices run Linux, with "
            f"one of {', '.join(sorted(expected))}: write, for instance, '{first}-linux-{min(expected, key=len)}'"
        )
    return architecture, environment


def with_float_abi(architecture: str, environment: str, float_abi: str) -> str:
    """Return the environment with the float ABI that ``-mfloat-abi`` names."""
    if not architecture.startswith("arm") or float_abi not in ("hard", "soft"):
        raise TargetError(f"-mfloat-abi={float_abi} for {architecture}: it is hard or soft, on 32-bit Arm only")
    return environment.removesuffix("hf") + ("hf" if float_abi == "hard" else "")


def read_options(words: list[str], text: str) -> Iterator[tuple[str, str]]:
    """Yield the options that say what code to generate, of the words behind ``llvm`` in a target, and their values."""
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        name = "-" + name.lstrip("-") if name.startswith("-") else name
        if name not in _OPTIONS + _TVM_HINTS:
            raise TargetError(
                f"unknown option {word!r} in the target {text!r}{near(name, _OPTIONS)}; "
                f"known are {', '.join(_OPTIONS)}: write, for instance, {EXAMPLE}"
            )
        value = value if equals else next(rest, "")
        if not value or (not equals and value.startswith("-") and name != "-mattr"):
            raise TargetError(f"the option {name} in the target {text!r} needs a value: {name}=...")
        if name in _OPTIONS:
            yield ("-mtriple" if name == "-target" else name), value


def read_features(value: str, text: str) -> Iterator[str]:
    """Yield the features of a ``-mattr``, with their signs."""
    for feature in filter(None, value.split(",")):
        if not re.fullmatch(r"[+-][A-Za-z0-9][\w.\-]*", feature):
            raise TargetError(f"the feature {feature!r} in the target {text!r} needs a sign: -mattr=+neon,-aes")
        yield feature


def near(name: str, candidates: Iterable[str]) -> str:
    """Say which of the names that there are somebody may have meant, for the end of a message; else nothing."""
    close = difflib.get_close_matches(name, list(candidates), n=3, cutoff=0.6)
    return f" (near it: {', '.join(close)})" if close else ""
