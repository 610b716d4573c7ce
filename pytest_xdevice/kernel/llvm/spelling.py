"""How LLVM IR spells types, names, numbers and operations."""

from __future__ import annotations

import math
import struct
from typing import Final

from pytest_xdevice.kernel.types import bool_
from pytest_xdevice.kernel.types import LocalArray
from pytest_xdevice.kernel.types import ScalarType
from pytest_xdevice.kernel.types import u32
from pytest_xdevice.kernel.types import u64

_FLOATS: Final = {16: "half", 32: "float", 64: "double"}
_FLOAT_OPERATIONS: Final = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv", "fmod": "frem"}
_INTEGER_OPERATIONS: Final = frozenset(
    {"add", "sub", "mul", "sdiv", "srem", "udiv", "urem", "and", "or", "xor", "shl", "ashr", "lshr"}
)
_FLOAT_PREDICATES: Final = {"eq": "oeq", "ne": "une", "lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge"}
_SIGNED_PREDICATES: Final = {"eq": "eq", "ne": "ne", "lt": "slt", "le": "sle", "gt": "sgt", "ge": "sge"}
_UNSIGNED_PREDICATES: Final = {"eq": "eq", "ne": "ne", "lt": "ult", "le": "ule", "gt": "ugt", "ge": "uge"}

BITS: Final = {32: u32, 64: u64}  # what the bits of a number of so many bits are
ARRAY_ALIGN: Final = 16  # of an array on the stack, so that vectors of its elements are aligned


def memory(scalar: ScalarType) -> str:
    """Return the type of a scalar in memory."""
    return _FLOATS[scalar.bits] if scalar.is_float else f"i{scalar.bits}"


def register(scalar: ScalarType) -> str:
    """Return the type of a scalar in a register."""
    return "i1" if scalar == bool_ else memory(scalar)


def aggregate(array: LocalArray) -> str:
    """Return the type of an array on the stack."""
    return f"[{math.prod(array.extents)} x {memory(array.element)}]"


def identifier(sigil: str, name: str) -> str:
    """Return an LLVM identifier for any Python name."""
    if name.isascii():
        return f"{sigil}{name}"
    escaped = "".join(chr(byte) if 32 < byte < 127 else f"\\{byte:02X}" for byte in name.encode())
    return f'{sigil}"{escaped}"'


def param_name(name: str) -> str:
    """Return the register of a parameter."""
    return identifier("%", f"p.{name}")


def dim_name(name: str) -> str:
    """Return the register of a dim."""
    return identifier("%", f"d.{name}")


def local_name(name: str) -> str:
    """Return the address of a local scalar."""
    return identifier("%", f"l.{name}")


def array_name(name: str) -> str:
    """Return the address of a local array."""
    return identifier("%", f"a.{name}")


def literal(value: float, scalar: ScalarType) -> str:
    """Return a constant, wrapped or rounded to its type."""
    if scalar == bool_:
        return "true" if value else "false"
    if not scalar.is_float:
        wrapped = int(value) & ((1 << scalar.bits) - 1)
        return str(wrapped - (1 << scalar.bits) if wrapped >> (scalar.bits - 1) else wrapped)
    number = float(value)
    if scalar.bits < 64:
        number = _rounded(number, scalar.bits)
    if scalar.bits == 16:
        return f"0xH{struct.unpack('<H', struct.pack('<e', number))[0]:04X}"
    return f"0x{struct.unpack('<Q', struct.pack('<d', number))[0]:016X}"


def _rounded(number: float, bits: int) -> float:
    """Return `number` rounded to a narrower format."""
    code = {16: "<e", 32: "<f"}[bits]
    try:
        return float(struct.unpack(code, struct.pack(code, number))[0])
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")


def operation(op: str, scalar: ScalarType) -> str:
    """Return the instruction of a legal binary operation.

    Raises
    ------
    KeyError
        If it is none.
    """
    if scalar.is_float:
        return _FLOAT_OPERATIONS[op]
    if op not in _INTEGER_OPERATIONS:
        raise KeyError(f"{op} on {scalar} is no legal operation")
    return op


def comparison(op: str, scalar: ScalarType) -> str:
    """Return the instruction that compares two operands of a type, with its predicate."""
    if scalar.is_float:
        return f"fcmp {_FLOAT_PREDICATES[op]}"
    return f"icmp {(_SIGNED_PREDICATES if scalar.is_signed else _UNSIGNED_PREDICATES)[op]}"


def conversion(source: ScalarType, target: ScalarType) -> str:
    """Return the instruction that converts a number to a number, float to integer excepted; empty for none."""
    if target == source:
        return ""
    if target.is_float:
        if source.is_float:
            return "fpext" if target.bits > source.bits else "fptrunc"
        return "sitofp" if source.is_signed else "uitofp"
    if source == bool_:
        return "zext"
    if target.bits == source.bits:
        return ""
    if target.bits < source.bits:
        return "trunc"
    return "sext" if source.is_signed else "zext"


def fast_flags(fast: frozenset[str]) -> str:
    """Return what stands before the type of an operation on floats that may be done as `fast` says."""
    if "full" in fast:
        return "fast "
    flags = ["contract"] if "contract" in fast else []
    flags += ["reassoc", "nsz"] if "reassoc" in fast else []
    return "".join(f"{flag} " for flag in flags)
