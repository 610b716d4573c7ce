"""Print a kernel as LLVM IR text: the native entry, and the body with its loops.

The text names no triple and no data layout, so that one text serves every target of a pointer width; the compiler
sets them. The entry unpacks ``void **args`` once and calls the body, whose array parameters do not alias.
"""

from __future__ import annotations

from pytest_xdevice.kernel.ir import KernelIR
from pytest_xdevice.kernel.passes.bounds import fold_guards
from pytest_xdevice.kernel.passes.groups import lower_groups
from pytest_xdevice.kernel.passes.jam import jam_loops
from pytest_xdevice.kernel.passes.legalise import legalise
from pytest_xdevice.kernel.passes.split import split_loops
from pytest_xdevice.kernel.passes.strips import strip_mine
from pytest_xdevice.kernel.signature import Signature
from pytest_xdevice.kernel.types import ScalarType

from .instructions import load_lines
from .loops import ThreadedBody
from .module import Module
from .spelling import identifier
from .spelling import register
from .statements import Body
from .statements import body_symbol
from .threads import thread_pool
from .threads import Threads


def kernel_module(ir: KernelIR, *, pointer_bits: int, threads: Threads | None = None) -> str:
    """Return LLVM IR text that defines ``i64 @xd_<name>(ptr)``.

    Parameters
    ----------
    ir : KernelIR
        The kernel, as the front end made it.
    pointer_bits : int
        Width of a pointer on the target, 32 or 64.
    threads : Threads, optional
        What runs the parallel loops, each of which then is a function of its own; by default it is the caller.
    """
    module = Module(pointer_bits)
    legal = _rearranged(legalise(fold_guards(lower_groups(ir))))
    body = (ThreadedBody if threads else Body)(legal, module).text()
    pool = thread_pool(threads, pointer_bits) if threads and module.loops else ""
    parts = [_entry(ir.signature, module), body, *module.loops, pool, module.functions.text, module.metadata]
    return "\n\n".join(part for part in parts if part) + "\n"


def _rearranged(ir: KernelIR) -> KernelIR:
    """Return the legal kernel with its loops as a CPU likes them; what each iteration computes stays the same."""
    return strip_mine(jam_loops(split_loops(ir)))


def _entry(signature: Signature, module: Module) -> str:
    """Return the exported function, which loads every argument once and calls the body."""
    size = module.pointer_bits // 8
    lines: list[str] = []
    arguments: list[str] = []
    range_node = module.node("!{i64 0, i64 -9223372036854775808}") if signature.dims else ""

    def load_pointer(name: str) -> str:
        position = len(arguments)
        slot = identifier("%", f"slot.{name}")
        lines.append(f"  {slot} = getelementptr i8, ptr %args, i32 {position * size}")
        lines.append(f"  {identifier('%', name)} = load ptr, ptr {slot}, align {size}")
        return identifier("%", name)

    for param in signature.params:
        pointer = load_pointer(f"p.{param.name}")
        if isinstance(param.type, ScalarType):
            value = identifier("%", f"v.{param.name}")
            lines += load_lines(value, pointer, param.type)
            arguments.append(f"{register(param.type)} {value}")
        else:
            arguments.append(f"ptr {pointer}")
    for name in signature.dims:
        pointer, value = load_pointer(f"d.{name}"), identifier("%", f"n.{name}")
        lines.append(f"  {value} = load i64, ptr {pointer}, align 8, !range {range_node}")
        arguments.append(f"i64 {value}")
    call = f"  call void {body_symbol(signature)}({', '.join(arguments)})"
    symbol = identifier("@", f"xd_{signature.name}")
    return "\n".join([f"define i64 {symbol}(ptr %args) nounwind {{", *lines, call, "  ret i64 0", "}"])
