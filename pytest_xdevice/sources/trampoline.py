"""The entry that a launch calls, as LLVM text: it reads the arguments and calls a C function with them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from typing import TYPE_CHECKING

from .abi import Argument
from .abi import Function
from .abi import Pointer
from .abi import Value

if TYPE_CHECKING:
    from ..target import Target

# The variable that holds the function's address, where that is known on the device only.
CALLEE: Final = "xd_callee"


def trampoline(function: Function, target: Target, *, is_late: bool = False, is_declared: bool = False) -> str:
    """Return the definition of ``i64 @xd_<name>(ptr %args)``.

    It returns 0, or ``1 + k`` where argument ``k`` does not fit in the type that it has on `target`, which can only be
    one as wide as a pointer; the function is not called then.

    Parameters
    ----------
    function : Function
        What to call.
    target : Target
    is_late : bool
        Whether the function is called by an address that the device stores in the exported variable `CALLEE`.
    is_declared : bool
        Whether the text that this is added to declares or defines the function by itself.
    """
    lines = []
    types = [_declared(argument.type, target) for argument in function.arguments]
    result = "void" if function.result is None else _declared(function.result, target, is_result=True)
    if is_late:
        lines.append(f"@{CALLEE} = global ptr null")
    elif not is_declared:
        lines.append(f"declare {result} @{_quoted(function.name)}({', '.join(types)})")
    body: list[str] = []
    values = []
    for index, argument in enumerate(function.arguments):
        body += _load(index, argument, target)
        values.append(f"{types[index]} %v{index}")
    callee = f"@{_quoted(function.name)}"
    if is_late:
        body.append(f"  %callee = load ptr, ptr @{CALLEE}")
        callee = "%callee"
    call = f"call {result} {callee}({', '.join(values)})"
    if function.result is None:
        body.append(f"  {call}")
    else:
        body.append(f"  %result = {call}")
        body += _store(len(function.arguments), function.result, target)
    lines += [f"define i64 @xd_{function.name}(ptr %args) {{", *body, "  ret i64 0", "}", ""]
    return "\n".join(lines)


def _declared(kind: Value | Pointer, target: Target, *, is_result: bool = False) -> str:
    if isinstance(kind, Pointer):
        return "ptr"
    extension = kind.extension(target)
    words = [extension, kind.llvm(target)] if is_result else [kind.llvm(target), extension]
    return " ".join(filter(None, words))


def _load(index: int, argument: Argument, target: Target) -> Iterator[str]:
    """Yield what defines ``%v<index>``."""
    kind = argument.type
    yield f"  %at{index} = getelementptr ptr, ptr %args, i32 {index}"
    if isinstance(kind, Pointer):
        yield f"  %v{index} = load ptr, ptr %at{index}"
        return
    yield f"  %slot{index} = load ptr, ptr %at{index}"
    if kind.kind == "bool":
        yield f"  %byte{index} = load i8, ptr %slot{index}"
        yield f"  %v{index} = trunc i8 %byte{index} to i1"
    elif kind.bits == 0 and target.bits < kind.bound.bits:
        yield from _narrowed(index, kind, target)
    else:
        yield f"  %v{index} = load {kind.llvm(target)}, ptr %slot{index}"


def _narrowed(index: int, kind: Value, target: Target) -> Iterator[str]:
    extend = "sext" if kind.kind == "int" else "zext"
    narrow = kind.llvm(target)
    yield f"  %wide{index} = load i64, ptr %slot{index}"
    yield f"  %v{index} = trunc i64 %wide{index} to {narrow}"
    yield f"  %back{index} = {extend} {narrow} %v{index} to i64"
    yield f"  %fits{index} = icmp eq i64 %back{index}, %wide{index}"
    yield f"  br i1 %fits{index}, label %fit{index}, label %large{index}"
    yield f"large{index}:"
    yield f"  ret i64 {index + 1}"
    yield f"fit{index}:"


def _store(index: int, kind: Value, target: Target) -> Iterator[str]:
    """Yield what writes ``%result`` to where argument `index` points."""
    yield f"  %out.at = getelementptr ptr, ptr %args, i32 {index}"
    yield "  %out = load ptr, ptr %out.at"
    if kind.kind == "bool":
        yield "  %out.byte = zext i1 %result to i8"
        yield "  store i8 %out.byte, ptr %out"
    elif kind.bits == 0 and target.bits < kind.bound.bits:
        extend = "sext" if kind.kind == "int" else "zext"
        yield f"  %out.wide = {extend} {kind.llvm(target)} %result to i64"
        yield "  store i64 %out.wide, ptr %out"
    else:
        yield f"  store {kind.llvm(target)} %result, ptr %out"


def _quoted(symbol: str) -> str:
    return symbol if symbol.replace("_", "a").isalnum() else f'"{symbol}"'
