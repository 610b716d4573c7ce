"""What a function of LLVM IR takes, as far as the IR says: its types have no sign, and its pointers no elements."""

from __future__ import annotations

import re
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any
from typing import Final
from typing import NoReturn

from ..errors import ArgumentError
from ..kernel.types import PointerType
from ..kernel.types import SCALARS
from ..kernel.types import ScalarType
from .abi import Argument
from .abi import Function
from .abi import Pointer
from .abi import Value

_ELEMENTS: Final = {
    "half": "f16", "float": "f32", "double": "f64", "i1": "i8", "i8": "i8", "i16": "i16", "i32": "i32", "i64": "i64",
}  # fmt: skip
_VECTOR: Final = re.compile(r"<(?:vscale x )?\d+ x (\S+)>")
_CONVENTION: Final = re.compile(
    r"\b(fastcc|coldcc|tailcc|swiftcc|swifttailcc|ghccc|anyregcc|preserve_\w+cc|cc \d+|cxx_fast_tlscc|\w+_kernel"
    r"|(?:x86|arm|aarch64|riscv|amdgpu|avr|msp430|intel|win64|graal)\w*cc)\b"
)
_NAME: Final = re.compile(r'[@%](?:"[^"]*"|[\w.$-]+)')
_BY_MEMORY: Final = re.compile(r"\b(byval|sret|byref|inalloca|preallocated|swiftself|swifterror|nest)\b")


def check_call(name: str, facts: dict[str, Any]) -> None:
    """Refuse a function that is not called as C calls functions of numbers and pointers.

    Raises
    ------
    ArgumentError
    """
    head = facts["head"]
    convention = _CONVENTION.search(head.partition("@")[0])
    if convention:
        raise ArgumentError(f"{name}: it has the calling convention {convention[1]}; give it that of C")
    words = [word for each in facts["arguments"] for word in each["attributes"]]
    special = _BY_MEMORY.search(" ".join(words)) or _BY_MEMORY.search(_NAME.sub("", head))
    if special:
        raise ArgumentError(
            f"{name}: it passes a structure by value ({special[1]}), which each target does in its own way: have it "
            "take a pointer"
        )
    if "..." in head:
        raise ArgumentError(f"{name}: it takes any number of arguments, and a kernel a fixed one")


def argument_of(name: str, index: int, facts: dict[str, Any]) -> Argument:
    """Return a parameter as C would declare it.

    Raises
    ------
    ArgumentError
        If it is neither a number nor a pointer.
    """
    known = facts["name"] if re.fullmatch(r"[A-Za-z_]\w*", facts["name"]) else f"arg{index}"
    if facts["type"] == "ptr":
        return Argument(known, Pointer(_element(name, known, facts), facts["constant"]))
    return Argument(known, value_of(name, f"{known} is", facts["type"], unsigned="zeroext" in facts["attributes"]))


def result_of(name: str, facts: dict[str, Any]) -> Value:
    """Return the number that a function returns; ArgumentError if it is none."""
    before_name = facts["head"].partition("@")[0]
    return value_of(name, "it returns", facts["result"], unsigned="zeroext" in before_name.split())


def value_of(name: str, what: str, kind: str, *, unsigned: bool = False) -> Value:
    """Return a number that is passed by value; ArgumentError if `kind` is none."""
    if kind in ("float", "double"):
        return Value("float", 32 if kind == "float" else 64)
    if kind == "i1":
        return Value("bool", 8)
    if kind in ("i8", "i16", "i32", "i64"):
        return Value("uint" if unsigned else "int", int(kind[1:]))
    raise ArgumentError(
        f"{name}: {what} {kind} by value, which a test cannot pass: have it take a pointer, i8 to i64, float or double"
    )


def params_of(arguments: Sequence[dict[str, Any]]) -> list[PointerType | ScalarType]:
    """Return the types that a launch checks; an integer behind a pointer may be of either sign."""
    found: list[PointerType | ScalarType] = []
    for facts in arguments:
        argument = argument_of("", 0, facts)
        if isinstance(argument.type, Value):
            found.append(argument.type.bound)
        else:
            element = argument.type.element
            signless = element is not None and not element.is_float
            found.append(PointerType(element, "in" if argument.type.is_const else "inout", signless))
    return found


def check_prototype(declared: Function, found: Function, facts: dict[str, Any]) -> None:
    """Refuse a prototype that the IR contradicts.

    Raises
    ------
    ArgumentError
    """
    if len(declared.arguments) != len(found.arguments):
        _differs(found.name, f"has {len(declared.arguments)} parameters", f"takes {len(found.arguments)}", facts)
    for mine, theirs in zip(declared.arguments, found.arguments, strict=True):
        if _class(mine.type) != _class(theirs.type):
            _differs(found.name, f"says that {mine.name} is {_class(mine.type)}", f"has {_class(theirs.type)}", facts)
    if _class(declared.result) != _class(found.result):
        _differs(found.name, f"returns {_class(declared.result)}", f"returns {_class(found.result)}", facts)


def _class(kind: Value | Pointer | None) -> str:
    if kind is None:
        return "void"
    if isinstance(kind, Pointer):
        return "ptr"
    if kind.kind == "float":
        return {16: "half", 32: "float", 64: "double"}[kind.bits]
    return "i1" if kind.kind == "bool" else f"i{kind.bits or 64}"


def _differs(name: str, declared: str, found: str, facts: dict[str, Any]) -> NoReturn:
    types = ", ".join(each["type"] for each in facts["arguments"])
    raise ArgumentError(f"{name}: the prototype {declared}, and the IR {found}: it is {facts['result']} ({types})")


def _element(kernel: str, name: str, facts: dict[str, Any]) -> ScalarType | None:
    accessed = _scalars(facts["read"])
    if "ptr" in accessed:
        raise ArgumentError(f"{kernel}: {name} is a pointer to pointers, which cannot come from another machine")
    # One type alone, or the one that it also goes in steps of: a structure is bytes.
    of_structures = any(kind.startswith(("[", "{", "%")) for kind in facts["stepped"])
    found = accessed if len(accessed) == 1 or of_structures else accessed & _scalars(facts["stepped"])
    spelled = _ELEMENTS.get(next(iter(found))) if len(found) == 1 else None
    return SCALARS[spelled] if spelled else None


def _scalars(types: Iterable[str]) -> set[str]:
    """Return the types with vectors replaced by what they are vectors of."""
    return {found[1] if (found := _VECTOR.fullmatch(kind)) else kind for kind in types}
