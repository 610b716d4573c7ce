"""Print a kernel as LLVM IR text: the native entry, and the body with its loops.

The text names no triple and no data layout, so that one text serves every target of a pointer width; the compiler
sets them. The entry unpacks ``void **args`` once and calls the body, whose array parameters do not alias.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import replace
from typing import Final

from .bounds import fold_guards
from .groups import lower_groups
from .ir import Assign
from .ir import Atomic
from .ir import Binary
from .ir import Break
from .ir import Call
from .ir import Cast
from .ir import Clear
from .ir import Compare
from .ir import Const
from .ir import Continue
from .ir import DimValue
from .ir import Expr
from .ir import For
from .ir import If
from .ir import KernelIR
from .ir import Load
from .ir import Local
from .ir import Parallel
from .ir import Return
from .ir import Select
from .ir import Stmt
from .ir import Store
from .ir import Unary
from .ir import While
from .jam import jam_loops
from .legalise import is_cheap
from .legalise import legalise
from .llvm_math import MathFunctions
from .llvm_math import TESTS
from .llvm_threads import loops_of
from .llvm_threads import own_weight
from .llvm_threads import thread_pool
from .llvm_threads import Threads
from .llvm_threads import UNKNOWN_ITERATIONS
from .phases import assigned_in
from .phases import read_in
from .signature import Param
from .signature import Signature
from .split import split_loops
from .strips import strip_mine
from .traversal import arrays_accessed
from .traversal import has_atomic
from .traversal import is_innermost
from .types import ArrayType
from .types import bool_
from .types import Dim
from .types import f16
from .types import f32
from .types import f64
from .types import i64
from .types import LocalArray
from .types import ScalarType
from .types import u32
from .types import u64
from .uniform import divides_uniformly

_FLOATS: Final = {16: "half", 32: "float", 64: "double"}
_FLOAT_OPERATIONS: Final = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv", "fmod": "frem"}
_INTEGER_OPERATIONS: Final = frozenset(
    {"add", "sub", "mul", "sdiv", "srem", "udiv", "urem", "and", "or", "xor", "shl", "ashr", "lshr"}
)
_FLOAT_PREDICATES: Final = {"eq": "oeq", "ne": "une", "lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge"}
_SIGNED_PREDICATES: Final = {"eq": "eq", "ne": "ne", "lt": "slt", "le": "sle", "gt": "sgt", "ge": "sge"}
_UNSIGNED_PREDICATES: Final = {"eq": "eq", "ne": "ne", "lt": "ult", "le": "ule", "gt": "ugt", "ge": "uge"}

_BITS: Final = {32: u32, 64: u64}  # what the bits of a number of so many bits are
_ARRAY_ALIGN: Final = 16  # of an array on the stack, so that vectors of its elements are aligned


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
    module = _Module(pointer_bits, threads)
    body = _Body(_rearranged(legalise(fold_guards(lower_groups(ir)))), module).text()
    pool = thread_pool(threads, pointer_bits) if threads and module.loops else ""
    parts = [_entry(ir.signature, module), body, *module.loops, pool, module.functions.text, module.metadata]
    return "\n\n".join(part for part in parts if part) + "\n"


def _rearranged(ir: KernelIR) -> KernelIR:
    """Return the legal kernel with its loops as a CPU likes them; what each iteration computes stays the same."""
    return strip_mine(jam_loops(split_loops(ir)))


class _Module:
    """What the functions of one module share: callees, metadata nodes, the pointer's width, loops as functions."""

    def __init__(self, pointer_bits: int, threads: Threads | None) -> None:
        self.pointer_bits = pointer_bits
        self.threads = threads
        self.loops: list[str] = []
        self.functions = MathFunctions(pointer_bits)
        self._nodes: list[str] = []

    def node(self, text: str) -> str:
        """Add a metadata node and return its name; ``{self}`` in `text` stands for that name."""
        name = f"!{len(self._nodes)}"
        self._nodes.append(text.replace("{self}", name))
        return name

    def loop(self, properties: tuple[str, ...]) -> str:
        """Return what follows the branch of a loop that has `properties`, each the name of a metadata node."""
        if not properties:
            return ""
        return f", !llvm.loop {self.node('distinct !{' + ', '.join(('{self}', *properties)) + '}')}"

    @property
    def metadata(self) -> str:
        return "\n".join(f"!{number} = {text}" for number, text in enumerate(self._nodes))


def _entry(signature: Signature, module: _Module) -> str:
    """Return the exported function, which loads every argument once and calls the body."""
    size = module.pointer_bits // 8
    lines: list[str] = []
    arguments: list[str] = []
    range_node = module.node("!{i64 0, i64 -9223372036854775808}") if signature.dims else ""

    def load_pointer(name: str) -> str:
        position = len(arguments)
        slot = _quoted("%", f"slot.{name}")
        lines.append(f"  {slot} = getelementptr i8, ptr %args, i32 {position * size}")
        lines.append(f"  {_quoted('%', name)} = load ptr, ptr {slot}, align {size}")
        return _quoted("%", name)

    for param in signature.params:
        pointer = load_pointer(f"p.{param.name}")
        if isinstance(param.type, ScalarType):
            value = _quoted("%", f"v.{param.name}")
            lines += _load_register(value, pointer, param.type)
            arguments.append(f"{_register(param.type)} {value}")
        else:
            arguments.append(f"ptr {pointer}")
    for name in signature.dims:
        pointer, value = load_pointer(f"d.{name}"), _quoted("%", f"n.{name}")
        lines.append(f"  {value} = load i64, ptr {pointer}, align 8, !range {range_node}")
        arguments.append(f"i64 {value}")
    call = f"  call void {_body_symbol(signature)}({', '.join(arguments)})"
    symbol = _quoted("@", f"xd_{signature.name}")
    return "\n".join([f"define i64 {symbol}(ptr %args) nounwind {{", *lines, call, "  ret i64 0", "}"])


def _body_symbol(signature: Signature) -> str:
    return _quoted("@", f"xd_body.{signature.name}")


def _load_register(name: str, pointer: str, scalar: ScalarType, suffix: str = "") -> list[str]:
    """Return the lines that load a scalar from memory into the register `name`."""
    memory = f"load {_memory(scalar)}, ptr {pointer}, align {scalar.nbytes}{suffix}"
    if scalar != bool_:
        return [f"  {name} = {memory}"]
    byte = f'{name[:-1]}.byte"' if name.endswith('"') else f"{name}.byte"
    return [f"  {byte} = {memory}", f"  {name} = icmp ne i8 {byte}, 0"]


def _aggregate(array: LocalArray) -> str:
    return f"[{math.prod(array.extents)} x {_memory(array.element)}]"


def _memory(scalar: ScalarType) -> str:
    return _FLOATS[scalar.bits] if scalar.is_float else f"i{scalar.bits}"


def _register(scalar: ScalarType) -> str:
    return "i1" if scalar == bool_ else _memory(scalar)


def _quoted(sigil: str, name: str) -> str:
    """Return an LLVM identifier for any Python name."""
    if name.isascii():
        return f"{sigil}{name}"
    escaped = "".join(chr(byte) if 32 < byte < 127 else f"\\{byte:02X}" for byte in name.encode())
    return f'{sigil}"{escaped}"'


def _literal(value: float, scalar: ScalarType) -> str:
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


@dataclass(frozen=True)
class _Loop:
    """Where `continue` and `break` of a loop go."""

    latch: str
    exit: str


class _Body:
    """Prints the body function of one legal kernel: locals are allocas, which LLVM turns into registers."""

    def __init__(self, ir: KernelIR, module: _Module) -> None:
        self._ir = ir
        self._module = module
        self._params = {param.name: param for param in ir.signature.params}
        self._flags = _fast_flags(ir.fast)
        self._lines: list[str] = []
        self._allocas: list[str] = []
        self._counter = 0
        self._terminated = False
        self._loops: list[_Loop] = []
        self._groups: list[str] = []
        self._group_lists: dict[tuple[str, ...], str] = {}
        self._depth = 0  # of parallel loops around this place
        self._items_from: int | None = None  # the first access group of a loop over a work-group's items
        self._statements: dict[type, Callable[..., None]] = {
            Assign: self._assign, Store: self._store, Atomic: self._atomic, Clear: self._clear, If: self._if,
            While: self._while,
            For: self._for, Parallel: self._parallel, Break: self._break, Continue: self._continue,
            Return: self._return,
        }  # fmt: skip
        self._expressions: dict[type, Callable[..., str]] = {
            Const: lambda expr: _literal(expr.value, expr.type), Local: self._local,
            DimValue: lambda expr: _quoted("%", f"d.{expr.name}"), Load: self._load, Unary: self._unary,
            Binary: self._binary, Compare: self._compare, Select: self._select, Cast: self._cast, Call: self._call,
        }  # fmt: skip

    def text(self) -> str:
        """Return the definition of the function."""
        self._declare(self._ir.locals, self._ir.arrays)
        self._block(self._ir.body)
        if not self._terminated:
            self._emit("ret void")
        return self._function(_body_symbol(self._ir.signature), self._ir.body)

    def _declare(self, names: Iterable[str], arrays: Iterable[str]) -> None:
        for name in names:
            self._alloca(f"l.{name}", self._ir.locals[name])
        for name in arrays:
            kind = _aggregate(self._ir.arrays[name])
            self._allocas.append(f"  {_quoted('%', f'a.{name}')} = alloca {kind}, align {_ARRAY_ALIGN}")

    def _function(self, symbol: str, statements: tuple[Stmt, ...], more: Iterable[str] = ()) -> str:
        """Return the definition of what was printed of `statements`, with parameters beyond the kernel's in `more`."""
        loaded, stored = arrays_accessed(statements)
        escapes = bool(self._module.loops)
        signature = self._ir.signature
        params = [_parameter(param, param.name in loaded, param.name in stored, escapes) for param in signature.params]
        params += [f"i64 {_quoted('%', f'd.{name}')}" for name in signature.dims]
        head = f"define internal void {symbol}({', '.join([*params, *more])}) alwaysinline nounwind {{"
        return "\n".join([head, "entry:", *self._allocas, *self._lines, "}"])

    # --- text --------------------------------------------------------------------------------------------

    def _emit(self, text: str) -> None:
        self._lines.append(f"  {text}")

    def _value(self, text: str) -> str:
        """Emit an instruction and return the register of its result."""
        self._counter += 1
        name = f"%x{self._counter}"
        self._emit(f"{name} = {text}")
        return name

    def _labels(self, *names: str) -> tuple[str, ...]:
        self._counter += 1
        return tuple(f"{name}{self._counter}" for name in names)

    def _jump(self, label: str, suffix: str = "") -> None:
        if not self._terminated:
            self._emit(f"br label %{label}{suffix}")
            self._terminated = True

    def _branch(self, condition: str, then: str, otherwise: str) -> None:
        self._emit(f"br i1 {condition}, label %{then}, label %{otherwise}")
        self._terminated = True

    def _label(self, label: str) -> None:
        """Start a block; what comes before it falls through."""
        self._jump(label)
        self._lines.append(f"{label}:")
        self._terminated = False

    def _alloca(self, name: str, scalar: ScalarType) -> str:
        slot = _quoted("%", name)
        self._allocas.append(f"  {slot} = alloca {_register(scalar)}, align {scalar.nbytes}")
        return slot

    def _set(self, slot: str, value: str, scalar: ScalarType) -> None:
        self._emit(f"store {_register(scalar)} {value}, ptr {slot}, align {scalar.nbytes}")

    def _get(self, slot: str, scalar: ScalarType) -> str:
        return self._value(f"load {_register(scalar)}, ptr {slot}, align {scalar.nbytes}")

    # --- statements --------------------------------------------------------------------------------------

    def _block(self, statements: Iterable[Stmt]) -> None:
        for statement in statements:
            if self._terminated:  # what follows break, continue or return is never reached
                return
            self._statements[type(statement)](statement)

    def _assign(self, statement: Assign) -> None:
        value = self._expr(statement.value)
        self._set(_quoted("%", f"l.{statement.name}"), value, self._ir.locals[statement.name])

    def _store(self, statement: Store) -> None:
        address = self._address(statement.array, statement.indices)
        value = self._expr(statement.value)
        scalar = statement.value.type
        if scalar == bool_:
            value = self._value(f"zext i1 {value} to i8")
        access = self._access(statement.array)
        self._emit(f"store {_memory(scalar)} {value}, ptr {address}, align {scalar.nbytes}{access}")

    def _atomic(self, statement: Atomic) -> None:
        """Print an operation that is ordered with others on the same element alone, as OpenCL's are."""
        address, scalar = self._address(statement.array, statement.indices), statement.type
        operands = [self._expr(operand) for operand in statement.operands]
        if statement.op == "cas":
            old = self._exchange(address, scalar, *(self._bits(operand, scalar) for operand in operands))[0]
            old = self._number(old, scalar)
        elif scalar.is_float and statement.op != "add":
            old = self._float_extremum(statement.op, address, operands[0], scalar)
        else:
            operation = (
                f"{'f' * scalar.is_float}{'u' * (scalar.kind == 'uint' and statement.op != 'add')}{statement.op}"
            )
            operand = f"{_register(scalar)} {operands[0]} monotonic, align {scalar.nbytes}"
            old = self._value(f"atomicrmw {operation} ptr {address}, {operand}")
        if statement.result is not None:
            self._set(_quoted("%", f"l.{statement.result}"), old, scalar)

    def _float_extremum(self, function: str, address: str, operand: str, scalar: ScalarType) -> str:
        """Print a loop around a compare-and-swap, since the language's min and max are not those of hardware."""
        head, end = self._labels("swap", "swapped")
        slot = self._alloca(f"seen{self._counter}", _BITS[scalar.bits])
        first = f"load atomic {_register(_BITS[scalar.bits])}, ptr {address} monotonic, align {scalar.nbytes}"
        self._set(slot, self._value(first), _BITS[scalar.bits])
        self._label(head)
        before = self._get(slot, _BITS[scalar.bits])
        chosen = self._call_function(function, [self._number(before, scalar), operand], scalar)
        seen, done = self._exchange(address, scalar, before, self._bits(chosen, scalar))
        self._set(slot, seen, _BITS[scalar.bits])
        self._branch(done, end, head)
        self._label(end)
        return self._number(before, scalar)

    def _exchange(self, address: str, scalar: ScalarType, expected: str, desired: str) -> tuple[str, str]:
        """Print a compare-and-swap of bits; return what was there, and whether it was what was expected."""
        bits = _register(_BITS[scalar.bits])
        values = f"{bits} {expected}, {bits} {desired}"
        pair = self._value(f"cmpxchg ptr {address}, {values} monotonic monotonic, align {scalar.nbytes}")
        seen = self._value(f"extractvalue {{ {bits}, i1 }} {pair}, 0")
        return seen, self._value(f"extractvalue {{ {bits}, i1 }} {pair}, 1")

    def _bits(self, value: str, scalar: ScalarType) -> str:
        bits = _register(_BITS[scalar.bits])
        return self._value(f"bitcast {_register(scalar)} {value} to {bits}") if scalar.is_float else value

    def _number(self, bits: str, scalar: ScalarType) -> str:
        register = _register(_BITS[scalar.bits])
        return self._value(f"bitcast {register} {bits} to {_register(scalar)}") if scalar.is_float else bits

    def _clear(self, statement: Clear) -> None:
        array = self._ir.arrays[statement.array]
        memset, width = self._module.functions.memset(), self._module.pointer_bits
        pointer = f"ptr align {_ARRAY_ALIGN} {_quoted('%', f'a.{statement.array}')}"
        self._emit(f"call void {memset}({pointer}, i8 0, i{width} {array.nbytes}, i1 false)")

    def _if(self, statement: If) -> None:
        then, otherwise, end = self._labels("then", "else", "endif")
        self._branch(self._expr(statement.condition), then, otherwise if statement.otherwise else end)
        self._label(then)
        self._block(statement.then)
        self._jump(end)
        if statement.otherwise:
            self._label(otherwise)
            self._block(statement.otherwise)
        self._label(end)

    def _while(self, statement: While) -> None:
        head, body, end = self._labels("while", "do", "endwhile")
        self._label(head)
        self._branch(self._expr(statement.condition), body, end)
        self._label(body)
        with self._loop(head, end):
            self._block(statement.body)
        self._jump(head)
        self._label(end)

    def _for(self, statement: For) -> None:
        start, stop = self._expr(statement.start), self._expr(statement.stop)
        forward = isinstance(statement.step, Const) and statement.step.value == 1
        self._counted(statement.variable, (start, stop), statement.body, forward=forward)

    def _parallel(self, statement: Parallel) -> None:
        bounds = self._bounds(statement)
        if self._depth:  # a loop over the items of a work-group
            outer, self._items_from = self._items_from, len(self._groups)
            self._nest(statement, bounds, 0)
            self._items_from = outer
        elif self._module.threads is None:
            self._nest(statement, bounds, 0)
        else:
            self._on_threads(statement, bounds)

    def _bounds(self, statement: Parallel) -> list[tuple[str, str]]:
        extents = [self._expr(extent) for extent in statement.extents]
        starts = [self._expr(start) for start in statement.starts] or ["0"] * len(extents)
        return list(zip(starts, extents, strict=True))

    def _on_threads(self, statement: Parallel, bounds: list[tuple[str, str]]) -> None:
        """Have the threads run the loop, which becomes a function over a part of its outermost extent."""
        loop = _LoopBody(self._ir, self._module, statement)
        self._module.loops.append(loop.text())
        frame = self._labels("frame")[0]
        self._allocas.append(f"  %{frame} = alloca [{max(1, len(loop.arguments))} x i64], align 8")
        values = [name for _, name in loop.arguments[: len(loop.arguments) - len(loop.carried)]]
        values += [self._get(_quoted("%", f"l.{name}"), self._ir.locals[name]) for name in loop.carried]
        for number, ((kind, _), value) in enumerate(zip(loop.arguments, values, strict=True)):
            place = self._value(f"getelementptr i64, ptr %{frame}, i32 {number}")
            self._emit(f"store {kind} {value}, ptr {place}, align 8")
        weight = self._weight(statement.body, assigned_in([statement]))
        for start, extent in bounds[1:]:
            weight = self._value(f"call i64 @xd.pool.weight(i64 {weight}, i64 {start}, i64 {extent})")
        (start, stop), *_ = bounds
        self._emit(f"call void @xd.pool.run(ptr {loop.chunk}, ptr %{frame}, i64 {start}, i64 {stop}, i64 {weight})")

    def _weight(self, body: tuple[Stmt, ...], own: set[str]) -> str:
        """Print about how many innermost iterations one run of a parallel loop's body stands for.

        Lengths of inner loops count as far as they are known before it starts: free of the locals in `own`.
        """
        weight = str(own_weight(body))
        for loop in loops_of(body):
            inner = self._weight(loop.body, own)
            bounds = ("0", str(UNKNOWN_ITERATIONS))
            if isinstance(loop, For) and _is_known(loop, own):
                forward = isinstance(loop.step, Const) and loop.step.value == 1
                ends = (loop.start, loop.stop) if forward else (loop.stop, loop.start)
                bounds = (self._expr(ends[0]), self._expr(ends[1]))
            inner = self._value(f"call i64 @xd.pool.weight(i64 {inner}, i64 {bounds[0]}, i64 {bounds[1]})")
            weight = self._value(f"add i64 {weight}, {inner}")
        return weight

    def _nest(self, statement: Parallel, bounds: list[tuple[str, str]], depth: int) -> None:
        """Print the loops of a parallel nest from `depth` inwards, the last variable innermost."""
        outer, self._depth = self._groups, self._depth + 1
        properties: list[str] = []
        if self._items_from is not None:
            # Unrolled before it could be vectorised, the loop over items would leave that to the loop around it.
            properties.append(self._module.node('!{!"llvm.loop.unroll.disable"}'))
        if not has_atomic(statement.body):  # where there is one, nothing is said of the iterations' order
            group = self._module.node("distinct !{}")
            properties.append(self._module.node(f'!{{!"llvm.loop.parallel_accesses", {group}}}'))
            self._groups = [*outer, group]
        last = depth == len(bounds) - 1
        body = statement.body if last else (lambda: self._nest(statement, bounds, depth + 1))
        self._counted(statement.variables[depth], bounds[depth], body, forward=True, properties=tuple(properties))
        self._groups, self._depth = outer, self._depth - 1

    def _counted(
        self,
        variable: str,
        bounds: tuple[str, str],
        body: tuple[Stmt, ...] | Callable[[], None],
        *,
        forward: bool,
        properties: tuple[str, ...] = (),
    ) -> None:
        """Print a loop over a hidden counter, so that the variable may be assigned to and keeps its last value."""
        head, inside, latch, end = self._labels("for", "do", "next", "endfor")
        counter = self._alloca(f"c.{variable}.{self._counter}", i64)
        self._set(counter, bounds[0], i64)
        self._label(head)
        value = self._get(counter, i64)
        test = self._value(f"icmp {'slt' if forward else 'sgt'} i64 {value}, {bounds[1]}")
        self._branch(test, inside, end)
        self._label(inside)
        self._set(_quoted("%", f"l.{variable}"), value, i64)
        with self._loop(latch, end):
            if callable(body):
                body()
            else:
                properties += self._hints(variable, body)
                self._block(body)
        self._label(latch)
        # The counter was on the near side of the bound, so that one more step cannot wrap.
        following = self._value(f"add nsw i64 {self._get(counter, i64)}, {1 if forward else -1}")
        self._set(counter, following, i64)
        self._jump(head, self._module.loop(properties))
        self._label(end)

    def _hints(self, variable: str, body: tuple[Stmt, ...]) -> tuple[str, ...]:
        """Return the metadata nodes that keep LLVM from what it does wrongly with a loop, or let it do what it may."""
        if divides_uniformly(variable, body):
            return (self._module.node('!{!"llvm.loop.vectorize.enable", i1 false}'),)
        # NEON of 32-bit Arm flushes subnormals, so that LLVM keeps floats out of it unless it is told otherwise.
        if self._module.pointer_bits == 32 and "reassoc" in self._ir.fast and is_innermost(body):
            return (self._module.node('!{!"llvm.loop.vectorize.enable", i1 true}'),)
        return ()

    @contextmanager
    def _loop(self, latch: str, exit_label: str) -> Iterator[None]:
        self._loops.append(_Loop(latch, exit_label))
        yield
        self._loops.pop()

    def _break(self, _: Break) -> None:
        self._jump(self._loops[-1].exit)

    def _continue(self, _: Continue) -> None:
        self._jump(self._loops[-1].latch)

    def _return(self, _: Return) -> None:
        self._emit("ret void")
        self._terminated = True

    # --- expressions -------------------------------------------------------------------------------------

    def _expr(self, expr: Expr) -> str:
        return self._expressions[type(expr)](expr)

    def _local(self, expr: Local) -> str:
        if expr.name in self._params:
            return _quoted("%", f"p.{expr.name}")
        return self._get(_quoted("%", f"l.{expr.name}"), expr.type)

    def _access(self, array: str) -> str:
        """Return what an access of `array` says of the parallel loops around it.

        All iterations use the same memory for a private array, and all work-groups for a shared one.
        """
        groups = tuple(self._groups)
        if array in self._ir.arrays:
            items = self._ir.arrays[array].space == "shared" and self._items_from is not None
            groups = groups[self._items_from :] if items else ()
        if not groups:
            return ""
        if groups not in self._group_lists:
            self._group_lists[groups] = self._module.node(f"!{{{', '.join(groups)}}}")
        return f", !llvm.access.group {self._group_lists[groups]}"

    def _address(self, array: str, indices: tuple[Expr, ...]) -> str:
        """Return the address of an element of a C-contiguous array: that of its row, and from there that of itself.

        Rows are the same for all iterations of an inner loop, and their addresses are more easily seen to be so than
        parts of a sum.
        """
        array_type = self._ir.array(array)
        element = _memory(array_type.element)
        address = _quoted("%", f"{'a' if array in self._ir.arrays else 'p'}.{array}")
        *leading, last = indices
        if leading:
            row = self._expr(leading[0])
            for extent, inner in zip(array_type.extents[1:], leading[1:], strict=False):
                row = self._value(f"add i64 {self._scaled(row, extent)}, {self._expr(inner)}")
            address = self._beyond(address, element, self._scaled(row, array_type.extents[-1]))
        return self._beyond(address, element, self._expr(last))

    def _scaled(self, index: str, extent: int | Dim) -> str:
        """Return `index` times an extent of an array."""
        size = _quoted("%", f"d.{extent.name}") if isinstance(extent, Dim) else str(extent)
        return self._value(f"mul i64 {index}, {size}")

    def _beyond(self, address: str, element: str, index: str) -> str:
        """Return the address that lies `index` elements beyond another."""
        width = self._module.pointer_bits
        if width < 64:
            index = self._value(f"trunc i64 {index} to i{width}")
        return self._value(f"getelementptr {element}, ptr {address}, i{width} {index}")

    def _load(self, expr: Load) -> str:
        address = self._address(expr.array, expr.indices)
        self._counter += 1
        name = f"%x{self._counter}"
        self._lines += _load_register(name, address, expr.type, self._access(expr.array))
        return name

    def _unary(self, expr: Unary) -> str:
        # Of the unary operators only the sign of a float is legal.
        return self._value(f"fneg {self._flags}{_register(expr.type)} {self._expr(expr.operand)}")

    def _binary(self, expr: Binary) -> str:
        left, right = self._expr(expr.left), self._expr(expr.right)
        if expr.type.is_float:
            return self._value(f"{_FLOAT_OPERATIONS[expr.op]} {self._flags}{_register(expr.type)} {left}, {right}")
        if expr.op not in _INTEGER_OPERATIONS:
            raise KeyError(f"{expr.op} on {expr.type} is no legal operation")
        return self._value(f"{expr.op} {_register(expr.type)} {left}, {right}")

    def _compare(self, expr: Compare) -> str:
        left, right = self._expr(expr.left), self._expr(expr.right)
        scalar = expr.left.type
        if scalar.is_float:
            return self._value(f"fcmp {_FLOAT_PREDICATES[expr.op]} {_register(scalar)} {left}, {right}")
        predicates = _SIGNED_PREDICATES if scalar.is_signed else _UNSIGNED_PREDICATES
        return self._value(f"icmp {predicates[expr.op]} {_register(scalar)} {left}, {right}")

    def _select(self, expr: Select) -> str:
        condition, then, otherwise = (self._expr(part) for part in (expr.condition, expr.then, expr.otherwise))
        register = _register(expr.type)
        return self._value(f"select i1 {condition}, {register} {then}, {register} {otherwise}")

    def _cast(self, expr: Cast) -> str:
        value, source, target = self._expr(expr.operand), expr.operand.type, expr.type
        if source == f16:
            value, source = self._call_conversion("xd_f32_of_f16", f16, f32, value), f32
        if target == f16:
            # An integer that f32 would round is beyond the largest half, so that nothing is rounded twice.
            wide = f64 if source == f64 else f32
            return self._call_conversion(f"xd_f16_of_{wide}", wide, f16, self._converted(value, source, wide))
        return self._converted(value, source, target)

    def _call_conversion(self, function: str, source: ScalarType, target: ScalarType, value: str) -> str:
        """Print the call of one of the functions of `toolchain.half`."""
        operand, result = _register(source), _register(target)
        self._module.functions.declare(f"@{function}", f"declare {result} @{function}({operand})")
        return self._value(f"call {result} @{function}({operand} {value})")

    def _converted(self, value: str, source: ScalarType, target: ScalarType) -> str:
        """Print the conversion of `value` between types other than f16."""
        wide = self._module.functions.wide_conversion(source, target) if source.is_float != target.is_float else None
        if wide:
            return self._value(f"call {_register(target)} {wide}({_register(source)} {value})")
        if source.is_float and not target.is_float:
            symbol = self._module.functions.saturating_cast(source, target)
            return self._value(f"call {_register(target)} {symbol}({_register(source)} {value})")
        operation = _conversion(source, target)
        return self._value(f"{operation} {_register(source)} {value} to {_register(target)}") if operation else value

    def _call(self, expr: Call) -> str:
        arguments = [self._expr(argument) for argument in expr.arguments]
        scalar = expr.arguments[0].type
        if expr.function in TESTS:
            return self._class_test(expr.function, arguments[0], scalar)
        if scalar.is_float and expr.function in ("min", "max") and "full" in self._ir.fast:
            return self._extremum_of_numbers(expr.function, arguments, scalar)
        return self._call_function(expr.function, arguments, scalar)

    def _call_function(self, function: str, arguments: list[str], scalar: ScalarType) -> str:
        callee = self._module.functions.callee(function, scalar, len(arguments))
        register = _register(scalar)
        operands = ", ".join(f"{register} {argument}" for argument in arguments)
        return self._value(f"call {self._flags}{register} {callee}({operands})")

    def _extremum_of_numbers(self, function: str, arguments: list[str], scalar: ScalarType) -> str:
        """Print min or max where there is no NaN: a comparison, which vectorises on every target."""
        (left, right), register = arguments, _register(scalar)
        predicate = "olt" if function == "min" else "ogt"
        left_wins = self._value(f"fcmp {self._flags}{predicate} {register} {left}, {right}")
        return self._value(f"select {self._flags}i1 {left_wins}, {register} {left}, {register} {right}")

    def _class_test(self, function: str, value: str, scalar: ScalarType) -> str:
        absolute, predicate, bound = TESTS[function]
        register = _register(scalar)
        if absolute:
            callee = self._module.functions.callee("abs", scalar, 1)
            value = self._value(f"call {register} {callee}({register} {value})")
        return self._value(f"fcmp {predicate} {register} {value}, {_literal(bound, scalar)}")


def _is_known(loop: For, own: set[str]) -> bool:
    """Tell whether the bounds of a loop can be computed where none of the locals in `own` has a value."""
    return is_cheap(loop.start) and is_cheap(loop.stop) and not read_in([replace(loop, body=())]) & own


class _LoopBody(_Body):
    """Prints one parallel loop as a function over a part of its outermost extent, for threads to call.

    Attributes
    ----------
    arguments : list of (str, str)
        Type and register of what the function takes from the kernel: parameters, dims, and locals that it reads.
    carried : list of str
        Those locals, which come last in `arguments`.
    chunk : str
        Symbol of ``void (ptr %frame, i64 %first, i64 %limit)``, which takes them from slots of 8 bytes.
    """

    def __init__(self, ir: KernelIR, module: _Module, loop: Parallel) -> None:
        super().__init__(replace(ir, body=(loop,)), module)
        self._loop_itself = loop
        self._own = assigned_in([loop])
        self.carried = sorted((read_in([loop]) - self._own) & set(ir.locals))
        self._suffix = f"{len(module.loops)}.{ir.signature.name}"
        self.chunk = _quoted("@", f"xd_chunk{self._suffix}")
        self.arguments: list[tuple[str, str]] = []
        for param in ir.signature.params:
            kind = _register(param.type) if isinstance(param.type, ScalarType) else "ptr"
            self.arguments.append((kind, _quoted("%", f"p.{param.name}")))
        self.arguments += [("i64", _quoted("%", f"d.{name}")) for name in ir.signature.dims]
        self.arguments += [(_register(ir.locals[name]), _quoted("%", f"v.{name}")) for name in self.carried]

    def text(self) -> str:
        """Return the definitions of the loop and of what calls it with a frame."""
        loaded, stored = arrays_accessed(self._ir.body)
        self._declare([*sorted(self._own), *self.carried], sorted((loaded | stored) & set(self._ir.arrays)))
        for name in self.carried:
            self._set(_quoted("%", f"l.{name}"), _quoted("%", f"v.{name}"), self._ir.locals[name])
        bounds = self._bounds(self._loop_itself)
        self._nest(self._loop_itself, [("%first", "%limit"), *bounds[1:]], 0)
        self._emit("ret void")
        symbol = _quoted("@", f"xd_loop{self._suffix}")
        carried = [f"{kind} {name}" for kind, name in self.arguments[len(self.arguments) - len(self.carried) :]]
        loop = self._function(symbol, self._ir.body, [*carried, "i64 %first", "i64 %limit"])
        return f"{loop}\n\n{self._caller(symbol)}"

    def _caller(self, symbol: str) -> str:
        lines = []
        for number, (kind, name) in enumerate(self.arguments):
            lines.append(f"  %at{number} = getelementptr i64, ptr %frame, i32 {number}")
            lines.append(f"  {name} = load {kind}, ptr %at{number}, align 8")
        arguments = [f"{kind} {name}" for kind, name in self.arguments]
        call = f"  call void {symbol}({', '.join([*arguments, 'i64 %first', 'i64 %limit'])})"
        head = f"define internal void {self.chunk}(ptr %frame, i64 %first, i64 %limit) nounwind {{"
        return "\n".join([head, *lines, call, "  ret void", "}"])


def _conversion(source: ScalarType, target: ScalarType) -> str:
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


def _fast_flags(fast: frozenset[str]) -> str:
    if "full" in fast:
        return "fast "
    flags = ["contract"] if "contract" in fast else []
    flags += ["reassoc", "nsz"] if "reassoc" in fast else []
    return "".join(f"{flag} " for flag in flags)


def _parameter(param: Param, loaded: bool, stored: bool, escapes: bool) -> str:
    """Return a parameter of the body function with what holds of it; it escapes where threads are handed it."""
    name = _quoted("%", f"p.{param.name}")
    if isinstance(param.type, ScalarType):
        return f"{_register(param.type)} {name}"
    assert isinstance(param.type, ArrayType)
    access = "" if loaded and stored else ("readonly " if loaded else "writeonly ")
    kept = "" if escapes else "captures(none) "
    return f"ptr noalias {access}{kept}align {param.type.element.nbytes} {name}"
