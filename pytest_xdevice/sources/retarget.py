"""Brings LLVM IR that was made for one target to another, or says why that cannot be done."""

from __future__ import annotations

import re
from typing import Any
from typing import Final
from typing import TYPE_CHECKING

from ..errors import TargetError
from ..errors import XDeviceError

if TYPE_CHECKING:
    from ..target import Target

_CPU_ATTRIBUTES: Final = re.compile(r' ?"(?:target-cpu|target-features|tune-cpu|probe-stack|stack-probe-size)"="[^"]*"')
_FEATURES: Final = re.compile(r'"target-features"="([^"]*)"')
_POINTER_BITS: Final = re.compile(r"(?:^|-)p(?:0)?:(\d+)")
_INTRINSIC: Final = re.compile(
    r"@(llvm\.(aarch64|amdgcn|arc|arm|avr|bpf|hexagon|loongarch|mips|nvvm|ppc|r600|riscv|s390|spv|systemz|ve|wasm|x86"
    r"|xcore)\.[\w.]+)"
)
_ASM: Final = re.compile(r"^module asm |\bcall [^@\n]*\basm\b", re.MULTILINE)
_OWN_TYPE: Final = re.compile(r'\b(x86_fp80|ppc_fp128|x86_amx|target\("[^"]*"[^)]*\))')
_STRUCTURES: Final = re.compile(r"\b(byval|sret|inalloca|preallocated)\b(?=\()")
_VA_ARG: Final = re.compile(r"\bva_arg\b|@llvm\.va_start")
_NONE: Final = ("", "unknown", "unknown-unknown-unknown")


def retargeted(shown: str, facts: dict[str, Any], text: str, target: Target) -> str:
    """Return `text` for `target`.

    Parameters
    ----------
    shown : str
        How messages call the module.
    facts : dict
        Its ``triple`` and ``layout``.
    text : str
        The module without them.
    target : Target

    Raises
    ------
    TargetError
        If it is for another target and does something that depends on that.
    """
    architecture = _architecture(facts["triple"])
    intrinsic = _INTRINSIC.search(text)
    if architecture in (None, target.arch):
        if intrinsic or _ASM.search(text):
            _check_features(shown, text, target)
            return text  # what it is made for stays with each function
        return _CPU_ATTRIBUTES.sub("", text)
    reason = _obstacle(facts["layout"], text, intrinsic, target)
    if reason:
        raise TargetError(
            f"{shown} was made for {facts['triple']} and cannot be brought to {target.triple}: {reason}. Have the "
            f"compiler that makes it make it for {target.triple}"
        )
    return _CPU_ATTRIBUTES.sub("", text)


def _obstacle(layout: str, text: str, intrinsic: re.Match[str] | None, target: Target) -> str | None:
    bits = _POINTER_BITS.search(layout)
    if layout and (int(bits[1]) if bits else 64) != target.bits:
        return f"its pointers have {bits[1] if bits else 64} bits, and those of the target {target.bits}"
    if layout.startswith("E"):
        return "its numbers are big-endian"
    if _ASM.search(text):
        return "it has inline assembly"
    if intrinsic:
        return f"it calls {intrinsic[1]}"
    own = _OWN_TYPE.search(text)
    if own:
        return f"it has values of type {own[1]}"
    if _STRUCTURES.search(text):
        return "it passes structures by value, which each target does in its own way"
    return "it reads variable arguments" if _VA_ARG.search(text) else None


def _architecture(triple: str) -> str | None:
    from ..target import Target

    if triple in _NONE:
        return None
    try:
        return Target.parse(triple).arch
    except XDeviceError:
        return triple.partition("-")[0]


def _check_features(shown: str, text: str, target: Target) -> None:
    """Refuse IR that was made for features which the target lacks: its functions bring their own."""
    from ..errors import CompileError
    from ..toolchain import llvm

    wanted = {name[1:] for found in _FEATURES.findall(text) for name in found.split(",") if name.startswith("+")}
    try:
        lacking = wanted - llvm.shared().enabled(sorted(wanted), target.machine)
    except CompileError:
        return  # of another LLVM, whose features have other names: let the back end say it
    if lacking:
        raise TargetError(
            f"{shown} uses instructions of its own choice and was made for {', '.join(sorted(lacking))}, which "
            f"{target} has not: have it made for that target"
        )
