"""How OpenCL C spells what is no expression: names, literals, the types of elements, a kernel's parameters."""

from __future__ import annotations

import struct

from pytest_xdevice.kernel.signature import Param
from pytest_xdevice.kernel.types import ArrayType
from pytest_xdevice.kernel.types import bool_
from pytest_xdevice.kernel.types import f16
from pytest_xdevice.kernel.types import ScalarType

from .mathtable import C_TYPES


def c_name(name: str) -> str:
    """Return a C identifier's part for any Python name."""
    return "".join(char if char.isascii() else f"_u{ord(char):04x}_" for char in name)


def literal(value: float, scalar: ScalarType) -> str:
    """Return a constant in OpenCL C, exact to the last bit."""
    if scalar == bool_:
        return "true" if value else "false"
    if scalar.is_float:
        return _float_literal(float(value), scalar.bits)
    number = int(value)
    if scalar.bits < 32:
        return str(number)
    suffix = {"i32": "", "u32": "u", "i64": "L", "u64": "UL"}[scalar.name]
    if scalar.is_signed and number == -(1 << (scalar.bits - 1)):
        return f"({number + 1}{suffix} - 1)"  # C has no literal for the least value
    return f"{number}{suffix}"


def _float_literal(number: float, bits: int) -> str:
    code, integer = ("<d", "<Q") if bits == 64 else ("<f", "<I")
    try:
        raw = struct.pack(code, number)
    except OverflowError:  # beyond the largest f32
        raw = struct.pack(code, float("inf") if number > 0 else float("-inf"))
    number = struct.unpack(code, raw)[0]
    suffix = "" if bits == 64 else "f"
    if number - number != 0:  # an infinity or NaN
        pattern = struct.unpack(integer, raw)[0]
        return f"as_double(0x{pattern:016x}UL)" if bits == 64 else f"as_float(0x{pattern:08x}u)"
    if abs(number) < 1 << 20 and (number * 16).is_integer():
        return f"{number!r}{suffix}"  # short and exact in decimal
    mantissa, exponent = number.hex().split("p")
    return f"{mantissa.rstrip('0')}p{exponent}{suffix}"


def wrapped(text: str) -> str:
    """Return `text` in parentheses unless it holds together without them."""
    depth = 0
    for char in text:
        depth += (char in "([") - (char in ")]")
        if char == " " and depth == 0:
            return f"({text})"
    return f"({text})" if text.startswith("-") else text


def memory_type(scalar: ScalarType) -> str:
    return {"bool_": "uchar", "f16": "half"}.get(scalar.name) or C_TYPES[scalar.name]


def register_type(scalar: ScalarType) -> str:
    """Return the type in which an array of the kernel's own holds elements."""
    return "ushort" if scalar == f16 else memory_type(scalar)


def parameter(param: Param) -> str:
    name = f"p_{c_name(param.name)}"
    if isinstance(param.type, ScalarType):
        return f"{memory_type(param.type)} {name}"
    assert isinstance(param.type, ArrayType)
    const = "" if param.is_written else "const "
    # NVIDIA's compiler would read a restrict pointer to const through a cache that misses the kernel's own stores, also
    # where it joins such a load with one from an array that the kernel writes.
    restrict = "restrict " if param.is_written else ""
    return f"__global {const}{memory_type(param.type.element)} *{restrict}{name}"


def work_group(block: tuple[int, ...] | None) -> str:
    if block is None:
        return ""
    sizes = [*reversed(block), 1, 1][:3]
    return f"__attribute__((reqd_work_group_size({', '.join(map(str, sizes))})))\n"
