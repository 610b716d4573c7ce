"""Print a kernel as an OpenCL C 1.2 program: one ``__kernel`` a phase, and the geometry of its launches."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from collections.abc import Iterable
from dataclasses import replace
from typing import Final
from typing import TypeGuard

from pytest_xdevice.artifact import OpenCLProgram

from .barriers import has_barrier
from .beyond import guard_regions
from .geometry import ExtentExpr
from .geometry import Phase
from .ir import Assign
from .ir import Atomic
from .ir import Barrier
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
from .legalise import legalise
from .neighbours import takes_neighbours
from .opencl_atomics import atomic_function
from .opencl_atomics import INT64_EXTENSION
from .opencl_atomics import needs_extension
from .opencl_forms import EACH
from .opencl_forms import forms_used
from .opencl_math import C_TYPES
from .opencl_math import MathFunctions
from .phases import assigned_in
from .phases import PhasePlan
from .phases import Plan
from .phases import plan_phases
from .phases import read_in
from .signature import Param
from .small_integers import SmallIntegers
from .traversal import arrays_accessed
from .traversal import children
from .traversal import expressions
from .traversal import loads
from .traversal import locals_of
from .traversal import walk
from .types import ArrayType
from .types import bool_
from .types import Dim
from .types import f16
from .types import f32
from .types import f64
from .types import i64
from .types import ScalarType

_OPERATORS: Final = {
    "add": "+", "sub": "-", "mul": "*", "div": "/", "sdiv": "/", "udiv": "/", "srem": "%", "urem": "%",
    "and": "&", "or": "|", "xor": "^", "shl": "<<", "ashr": ">>", "lshr": ">>",
}  # fmt: skip
_COMPARISONS: Final = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_BOOL_OPERATORS: Final = {"and": "&&", "or": "||", "xor": "!="}
# In C these overflow without a meaning when signed, so they are done unsigned.
_WRAPPING: Final = frozenset({"add", "sub", "mul", "shl"})
_INDENT: Final = "    "
_MOST_DOUBLED: Final = 32  # statements of a body that is printed twice


def kernel_program(ir: KernelIR) -> OpenCLProgram:
    """Return the kernel, as the front end made it, as OpenCL C with the geometry of its launches.

    Every ``__kernel`` takes the parameters in order, then the dims, then ``__global char *xd_carry`` when
    `carry_bytes` is not 0: a buffer of that size in which one launch leaves locals for the next.
    """
    plan = plan_phases(ir)
    functions = MathFunctions(own="full" not in ir.fast)
    kernels, phases = [], []
    for number, phase in enumerate(plan.phases):
        entry = f"xd_{_ascii(ir.signature.name)}_{number}"
        printer = _PhasePrinter(ir, plan, phase, functions)
        kernels.append(printer.text(entry))
        loop = phase.parallel
        extents = _extents(loop) if loop else ()
        phases.append(Phase(entry, extents, loop.block, loop.grid, printer.each) if loop else Phase(entry, extents))
    contract = "#pragma OPENCL FP_CONTRACT ON" if ir.fast & {"contract", "full"} else ""
    parts = [_pragmas(ir), *forms_used(kernels), functions.text, contract, *kernels]
    source = "\n\n".join(part for part in parts if part) + "\n"
    return OpenCLProgram(source, tuple(phases), plan.carry_bytes, _build_options(ir.fast))


def _build_options(fast: frozenset[str]) -> tuple[str, ...]:
    """Return the options that let a compiler do what `fast` says, and no more: none reorders without the rest."""
    if "full" in fast:
        return ("-cl-fast-relaxed-math",)
    return ("-cl-no-signed-zeros",) if "reassoc" in fast else ()


def _with_guards(ir: KernelIR) -> KernelIR:
    """Return the kernel with guards in the loops whose items wait for each other."""
    active = "active"
    while active in ir.locals or any(param.name == active for param in ir.signature.params):
        active += "_"
    body = tuple(
        guard_regions(statement, ir.arrays, active) if _has_barriers(statement) else statement for statement in ir.body
    )
    return replace(ir, body=body, locals={**ir.locals, active: bool_})


def _has_barriers(statement: Stmt) -> TypeGuard[Parallel]:
    return isinstance(statement, Parallel) and has_barrier(statement.body)


def _pragmas(ir: KernelIR) -> str:
    lines = ["#pragma OPENCL FP_CONTRACT OFF"]  # the functions of the math table keep their bits
    if _uses_double(ir):
        lines.append("#pragma OPENCL EXTENSION cl_khr_fp64 : enable")
    if any(isinstance(each, Atomic) and needs_extension(each.type) for each in walk(ir.body)):
        lines.append(f"#pragma OPENCL EXTENSION {INT64_EXTENSION} : enable")
    return "\n".join(lines)


def _uses_double(ir: KernelIR) -> bool:
    types = [param.type.element if isinstance(param.type, ArrayType) else param.type for param in ir.signature.params]

    def found(expr: Expr) -> bool:
        return expr.type == f64 or any(map(found, children(expr)))

    types += [array.element for array in ir.arrays.values()]
    declared = f64 in types or f64 in ir.locals.values()
    return declared or any(found(expr) for statement in walk(ir.body) for expr in expressions(statement))


def _extents(loop: Parallel) -> tuple[ExtentExpr, ...]:
    """Return how many iterations a parallel loop has in each dimension, as data for the launcher."""
    stops = tuple(map(_extent, loop.extents))
    if not loop.starts:
        return stops
    return tuple(["sub", stop, _extent(start)] for stop, start in zip(stops, loop.starts, strict=True))


def _extent(expr: Expr) -> ExtentExpr:
    """Return a bound of a parallel loop as data for the launcher."""
    if isinstance(expr, Const):
        return int(expr.value)
    if isinstance(expr, (DimValue, Local)):
        return expr.name
    if isinstance(expr, Cast):
        return _extent(expr.operand)
    if isinstance(expr, Unary):
        return [expr.op, _extent(expr.operand)]
    if isinstance(expr, Binary):
        return [expr.op, _extent(expr.left), _extent(expr.right)]
    if isinstance(expr, Call):
        return [expr.function, *map(_extent, expr.arguments)]
    raise TypeError(f"{type(expr).__name__} in the extent of a parallel loop")


def _ascii(name: str) -> str:
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


class _PhasePrinter:
    """Prints one ``__kernel``."""

    def __init__(self, ir: KernelIR, plan: Plan, phase: PhasePlan, functions: MathFunctions) -> None:
        self._plan = plan
        self._phase = phase
        self._ir = legalise(_with_guards(replace(ir, body=(*phase.prologue, *phase.body))))
        self._params = {param.name: param for param in ir.signature.params}
        self._arrays = {name: param.type for name, param in self._params.items() if isinstance(param.type, ArrayType)}
        self.each = EACH if any(map(_is_spread, self._ir.body)) else 1
        self._in_spread = False
        self._small = SmallIntegers(self._ir, phase.reads)
        self._functions = functions
        self._lines: list[str] = []
        self._depth = 1
        self._loops = 0
        self._counters = 0
        self._statements: dict[type, Callable[..., None]] = {
            Assign: self._assign, Store: self._store, Atomic: self._atomic, Clear: self._clear,
            Barrier: self._barrier, If: self._if,
            While: self._while, For: self._for, Parallel: self._parallel, Break: self._break, Continue: self._continue,
            Return: self._return,
        }  # fmt: skip
        self._expressions: dict[type, Callable[..., str]] = {
            Const: lambda expr: literal(expr.value, expr.type), Local: self._local,
            DimValue: lambda expr: f"d_{_ascii(expr.name)}", Load: self._load, Unary: self._unary,
            Binary: self._binary, Compare: self._compare, Select: self._select, Cast: self._cast, Call: self._call,
        }  # fmt: skip

    def text(self, entry: str) -> str:
        """Return the definition of the kernel."""
        self._declare()
        self._receive()
        self._block(self._ir.body)
        for name in self._phase.writes:
            self._emit(f"{self._slot(name)} = {self._name(name)};")
        block = self._phase.parallel.block if self._phase.parallel else None
        lines = [f"{_work_group(block)}__kernel void {entry}({', '.join(self._parameters())})", "{"]
        return "\n".join([*lines, *self._lines, "}"])

    def _parameters(self) -> Iterable[str]:
        yield from map(_parameter, self._ir.signature.params)
        yield from (f"long d_{_ascii(name)}" for name in self._ir.signature.dims)
        if self._plan.carry_bytes:
            yield "__global char *xd_carry"

    def _declare(self) -> None:
        used = assigned_in(self._ir.body) | read_in(self._ir.body) | set(self._phase.reads)
        for name, scalar in self._ir.locals.items():
            if name in used:
                self._emit(f"{self._c_type(name, scalar)} {self._name(name)};")
        loaded, stored = arrays_accessed(self._ir.body)
        for name, array in self._ir.arrays.items():
            if name in loaded | stored:
                space = "__local " if array.space == "shared" else ""
                self._emit(f"{space}{_stored(array.element)} a_{_ascii(name)}[{math.prod(array.extents)}];")

    def _receive(self) -> None:
        """Print what a phase does before its statements: an earlier return ends it, carried locals come in."""
        if self._phase.resets_return:
            self._emit(f"{self._return_flag()} = 0;")
        if self._phase.checks_return:
            self._emit(f"if ({self._return_flag()}) return;")
        for name in self._phase.reads:
            self._emit(f"{self._name(name)} = {self._slot(name)};")

    def _slot(self, name: str) -> str:
        c_type = _memory(self._ir.locals[name])
        return f"*(__global {c_type} *)(xd_carry + {self._plan.slots[name]})"

    def _return_flag(self) -> str:
        return f"*(__global int *)(xd_carry + {self._plan.return_offset})"

    def _name(self, name: str) -> str:
        return f"{'p' if name in self._params else 'v'}_{_ascii(name)}"

    def _emit(self, text: str) -> None:
        self._lines.append(_INDENT * self._depth + text)

    # --- statements --------------------------------------------------------------------------------------

    def _block(self, statements: Iterable[Stmt]) -> None:
        for statement in statements:
            self._statements[type(statement)](statement)
            if isinstance(statement, (Break, Continue, Return)):  # what follows is never reached
                return

    def _nested(self, statements: Iterable[Stmt]) -> None:
        self._depth += 1
        self._block(statements)
        self._depth -= 1

    def _assign(self, statement: Assign) -> None:
        self._emit(f"{self._name(statement.name)} = {self._value_for(statement.name, statement.value)};")

    def _store(self, statement: Store) -> None:
        value = self._expr(statement.value)
        if statement.value.type == f16:
            pointer, index = self._pointer_and_index(statement.array, statement.indices)
            self._emit(f"vstore_half_rte({value}, {index}, {self._halves(statement.array, pointer)});")
        else:
            self._emit(f"{self._element(statement.array, statement.indices)} = {value};")

    def _atomic(self, statement: Atomic) -> None:
        space = "__local" if statement.array in self._ir.arrays else "__global"
        function = atomic_function(self._functions, statement.op, statement.type, space)
        arguments = [f"&{self._element(statement.array, statement.indices)}", *map(self._expr, statement.operands)]
        taken = "" if statement.result is None else f"{self._name(statement.result)} = "
        self._emit(f"{taken}{function}({', '.join(arguments)});")

    def _clear(self, statement: Clear) -> None:
        size = math.prod(self._ir.arrays[statement.array].extents)
        self._emit(f"for (int z = 0; z < {size}; ++z) a_{_ascii(statement.array)}[z] = 0;")

    def _if(self, statement: If) -> None:
        self._emit(f"if ({self._expr(statement.condition)}) {{")
        self._nested(statement.then)
        if statement.otherwise:
            self._emit("} else {")
            self._nested(statement.otherwise)
        self._emit("}")

    def _while(self, statement: While) -> None:
        self._emit(f"while ({self._expr(statement.condition)}) {{")
        self._loop(statement.body)

    def _for(self, statement: For) -> None:
        forward = isinstance(statement.step, Const) and statement.step.value == 1
        if forward and not any(isinstance(inner, Break) for inner in walk(statement.body)):
            self._count(statement)
            return
        counter, end = f"c{self._counters}", f"e{self._counters}"
        self._counters += 1
        test, step = (f"{counter} < {end}", f"++{counter}") if forward else (f"{counter} > {end}", f"--{counter}")
        start, stop = self._expr(statement.start), self._expr(statement.stop)
        self._emit(f"for (long {counter} = {start}, {end} = {stop}; {test}; {step}) {{")
        self._emit(f"{_INDENT}{self._name(statement.variable)} = {counter};")
        self._loop(statement.body)

    def _count(self, statement: For) -> None:
        """Print a loop over successive values, in the way that the device counts fastest."""
        counter, end, size, step = (f"{letter}{self._counters}" for letter in "cenk")
        self._counters += 1
        small = statement.variable in self._small
        start, stop = (self._value_for(statement.variable, each) for each in (statement.start, statement.stop))
        if small and not _is_constant_in(statement.stop, statement):
            self._emit(f"xd_index s{counter[1:]} = {stop};")
            stop = f"s{counter[1:]}"
        kind = "_INDEX" if small else ""
        self._emit(f"XD_COUNT{kind}({counter}, {end}, {size}, {step}, {start}, {stop}) {{")
        self._emit(f"{_INDENT}{self._name(statement.variable)} = XD_COUNTED{kind}({counter}, {step});")
        self._loop(statement.body)

    def _loop(self, body: tuple[Stmt, ...]) -> None:
        self._loops += 1
        self._nested(body)
        self._loops -= 1
        self._emit("}")

    def _parallel(self, statement: Parallel) -> None:
        if statement.grid is not None:
            self._in_turns(statement, 0)
            return
        spread = _is_spread(statement)
        for dimension, variable in enumerate(reversed(statement.variables)):
            if dimension or not spread:
                self._emit(f"{self._name(variable)} = ({self._c_type(variable)})get_global_id({dimension});")
        if _has_barriers(statement):
            self._items(statement)
        elif spread:
            # Launches are rounded up to whole work-groups. Only the last ones need a test for each item, and a
            # test that is one for the whole group does not stand in the way of vectors.
            self._emit(f"if ({' && '.join(self._group_fits(statement))}) {{")
            self._spread(statement, guarded=False)
            self._emit("} else {")
            self._spread(statement, guarded=True)
            self._emit("}")
        else:
            self._guards(statement, range(len(statement.variables)))
            self._items(statement)

    def _spread(self, statement: Parallel, *, guarded: bool) -> None:
        """Print the iterations of the last variable that one work-item takes."""
        self._depth += 1
        counter, last = f"k{self._counters}", statement.variables[-1]
        self._counters += 1
        others = range(len(statement.variables) - 1)
        if guarded:
            self._guards(statement, others)
        self._add_starts(statement, others)
        self._emit(f"XD_FOR_EACH({counter}) {{")
        self._depth += 1
        form = "XD_BESIDE" if takes_neighbours(statement, self._arrays) else "XD_APART"
        self._emit(f"{self._name(last)} = {form}({self._c_type(last)}, {counter});")
        if guarded:
            self._emit(
                f"if ((xd_index){self._name(last)} >= (xd_index){_wrapped(self._counts(statement)[-1])}) XD_NEXT;"
            )
        self._add_starts(statement, [len(others)])
        self._in_spread = True
        self._block(statement.body)
        self._in_spread = False
        self._depth -= 1
        self._emit("}")
        self._depth -= 1

    def _group_fits(self, statement: Parallel) -> Iterable[str]:
        """Yield the conditions under which no item of the work-group is past the end."""
        for dimension, count in enumerate(reversed(self._counts(statement))):
            size = f"(xd_index)get_local_size({dimension}){'' if dimension else ' * XD_EACH'}"
            yield f"(xd_index)(get_group_id({dimension}) + 1) * {size} <= (xd_index){_wrapped(count)}"

    def _guards(self, statement: Parallel, axes: Iterable[int]) -> None:
        counts = self._counts(statement)
        for axis in axes:
            self._emit(
                f"if ((xd_index){self._name(statement.variables[axis])} >= (xd_index){_wrapped(counts[axis])}) return;"
            )

    def _items(self, statement: Parallel) -> None:
        self._add_starts(statement, range(len(statement.variables)))
        self._block(statement.body)

    def _add_starts(self, statement: Parallel, axes: Iterable[int]) -> None:
        for axis in axes if statement.starts else ():
            variable, start = statement.variables[axis], statement.starts[axis]
            self._emit(f"{self._name(variable)} += {self._value_for(variable, start)};")

    def _barrier(self, _: Barrier) -> None:
        self._emit("barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);")

    def _counts(self, statement: Parallel) -> list[str]:
        """Return how many iterations each variable has."""
        counts = list(map(self._operand, statement.extents))
        if statement.starts:
            counts = [
                f"{count} - {self._operand(start)}" for count, start in zip(counts, statement.starts, strict=True)
            ]
        return counts

    def _in_turns(self, statement: Parallel, axis: int) -> None:
        """Print a parallel loop from `axis` inwards, for any number of work-items: each takes several iterations."""
        if axis == len(statement.variables):
            self._block(statement.body)
            return
        dimension, counter, end = len(statement.variables) - 1 - axis, f"c{self._counters}", f"e{self._counters}"
        self._counters += 1
        first = f"(long)get_global_id({dimension})"
        if statement.starts:
            first = f"{self._operand(statement.starts[axis])} + {first}"
        self._emit(
            f"for (long {counter} = {first}, {end} = {self._expr(statement.extents[axis])}; {counter} < {end}; "
            f"{counter} += (long)get_global_size({dimension})) {{"
        )
        self._emit(f"{_INDENT}{self._name(statement.variables[axis])} = {counter};")
        self._loops += 1
        self._depth += 1
        self._in_turns(statement, axis + 1)
        self._depth -= 1
        self._loops -= 1
        self._emit("}")

    def _break(self, _: Break) -> None:
        self._emit("break;")

    def _continue(self, _: Continue) -> None:
        self._emit("continue;" if self._loops else "XD_NEXT;" if self._in_spread else "return;")

    def _return(self, _: Return) -> None:
        if self._plan.return_offset is not None and not self._phase.parallel:
            self._emit(f"{self._return_flag()} = 1;")
        self._emit("return;")

    # --- expressions -------------------------------------------------------------------------------------

    def _expr(self, expr: Expr) -> str:
        return self._expressions[type(expr)](expr)

    def _operand(self, expr: Expr) -> str:
        return _wrapped(self._expr(expr))

    def _local(self, expr: Local) -> str:
        return f"(long){self._name(expr.name)}" if expr.name in self._small else self._name(expr.name)

    def _c_type(self, name: str, scalar: ScalarType = i64) -> str:
        """Return the type of a local, which is a counter unless `scalar` is given."""
        return "xd_index" if name in self._small else C_TYPES[scalar.name]

    def _value_for(self, name: str, expr: Expr) -> str:
        """Return an expression as it is given to a local."""
        return self._index(expr) if name in self._small else self._expr(expr)

    def _index(self, expr: Expr) -> str:
        """Return an i64 expression as an ``xd_index`` where it fits one in a small launch, else as it is."""
        if self._small.interval(expr) is None:
            return self._expr(expr)
        if isinstance(expr, Const):
            return str(expr.value) if expr.value > -(1 << 31) else f"({expr.value + 1} - 1)"
        if isinstance(expr, Local):
            return self._name(expr.name)
        if isinstance(expr, Binary):
            left, right = (_wrapped(self._index(operand)) for operand in (expr.left, expr.right))
            return f"{left} {_OPERATORS[expr.op]} {right}"
        if isinstance(expr, Select):
            then, otherwise = (_wrapped(self._index(choice)) for choice in (expr.then, expr.otherwise))
            return f"{self._operand(expr.condition)} ? {then} : {otherwise}"
        return f"(xd_index){self._operand(expr)}"

    def _element(self, array: str, indices: tuple[Expr, ...]) -> str:
        pointer, index = self._pointer_and_index(array, indices)
        return f"{pointer}[{index}]"

    def _pointer_and_index(self, array: str, indices: tuple[Expr, ...]) -> tuple[str, str]:
        array_type = self._ir.array(array)
        index = self._index(indices[0])
        for extent, inner in zip(array_type.extents[1:], indices[1:], strict=True):
            size = f"(xd_index)d_{_ascii(extent.name)}" if isinstance(extent, Dim) else f"(xd_index){extent}"
            index = f"{_wrapped(index)} * {size} + {_wrapped(self._index(inner))}"
        return f"{'a' if array in self._ir.arrays else 'p'}_{_ascii(array)}", index

    def _halves(self, array: str, pointer: str) -> str:
        """Return a pointer to the halves of an array; our own hold them as bits, since C has no halves as variables."""
        if array not in self._ir.arrays:
            return pointer
        return f"(__local half *){pointer}" if self._ir.arrays[array].space == "shared" else f"(half *){pointer}"

    def _load(self, expr: Load) -> str:
        if expr.type == f16:
            pointer, index = self._pointer_and_index(expr.array, expr.indices)
            return f"vload_half({index}, {self._halves(expr.array, pointer)})"
        element = self._element(expr.array, expr.indices)
        return f"({element} != 0)" if expr.type == bool_ else element

    def _unary(self, expr: Unary) -> str:
        # Of the unary operators only the sign of a float is legal.
        return f"-{self._operand(expr.operand)}"

    def _binary(self, expr: Binary) -> str:
        left, right = self._operand(expr.left), self._operand(expr.right)
        if expr.op == "fmod":
            return f"fmod({self._expr(expr.left)}, {self._expr(expr.right)})"
        if expr.type == bool_:
            inverts = expr.op == "xor" and isinstance(expr.right, Const) and expr.right.value
            return f"!{left}" if inverts else f"{left} {_BOOL_OPERATORS[expr.op]} {right}"
        text = f"{left} {_OPERATORS[expr.op]} {right}"
        if expr.type.is_float or expr.type.name in ("u32", "u64"):
            return text
        if expr.type.bits < 32:
            # C computes these as int; u16 * u16 and a shifted sign would overflow even that.
            return f"({C_TYPES[expr.type.name]})({_as_unsigned(expr, left, right, 'uint')})"
        c_type = C_TYPES[expr.type.name]
        unsigned = _as_unsigned(expr, left, right, f"u{c_type}")
        return f"as_{c_type}({unsigned})" if expr.op in _WRAPPING else unsigned

    def _compare(self, expr: Compare) -> str:
        operands = (expr.left, expr.right)
        if None not in map(self._small.interval, operands):
            left, right = (_wrapped(self._index(operand)) for operand in operands)
        else:
            left, right = map(self._operand, operands)
        return f"{left} {_COMPARISONS[expr.op]} {right}"

    def _select(self, expr: Select) -> str:
        condition, then, otherwise = (self._operand(part) for part in (expr.condition, expr.then, expr.otherwise))
        return f"{condition} ? {then} : {otherwise}"

    def _cast(self, expr: Cast) -> str:
        source, target = expr.operand.type, expr.type
        if source.is_float and not target.is_float:
            return f"{self._functions.saturating_cast(source, target)}({self._expr(expr.operand)})"
        if target == f16:
            wide = source if source.is_float else f32
            operand = self._expr(expr.operand) if source.is_float else f"(float){self._operand(expr.operand)}"
            return f"{self._functions.rounded_to_half(wide)}({operand})"
        return f"({C_TYPES[target.name]}){_wrapped(self._index(expr.operand))}"

    def _call(self, expr: Call) -> str:
        arguments = ", ".join(map(self._expr, expr.arguments))
        return f"{self._functions.callee(expr.function, expr.arguments[0].type)}({arguments})"


def _is_constant_in(expr: Expr, loop: For) -> bool:
    """Tell whether an expression has one value all through a loop: a GPU unrolls a loop with such an end better."""
    return not locals_of(expr) & (assigned_in(loop.body) | {loop.variable}) and not any(loads(expr))


def _is_spread(statement: Stmt) -> bool:
    """Tell whether a work-item may take several iterations of a loop."""
    if not isinstance(statement, Parallel) or statement.grid is not None:
        return False
    return _is_short(statement.body) and not _has_barriers(statement)


def _is_short(body: tuple[Stmt, ...]) -> bool:
    """Tell whether a body may be printed twice: it has no loop, in which the time of another test would not be seen."""
    statements = list(walk(body))
    return len(statements) <= _MOST_DOUBLED and not any(isinstance(each, (For, While)) for each in statements)


def _as_unsigned(expr: Binary, left: str, right: str, unsigned: str) -> str:
    """Return the operation, on unsigned operands where a signed one could overflow."""
    if expr.op not in _WRAPPING:
        return f"{left} {_OPERATORS[expr.op]} {right}"
    return f"({unsigned}){left} {_OPERATORS[expr.op]} ({unsigned}){right}"


def _wrapped(text: str) -> str:
    """Return `text` in parentheses unless it holds together without them."""
    depth = 0
    for char in text:
        depth += (char in "([") - (char in ")]")
        if char == " " and depth == 0:
            return f"({text})"
    return f"({text})" if text.startswith("-") else text


def _memory(scalar: ScalarType) -> str:
    return {"bool_": "uchar", "f16": "half"}.get(scalar.name) or C_TYPES[scalar.name]


def _stored(scalar: ScalarType) -> str:
    """Return the type in which an array of the kernel's own holds elements."""
    return "ushort" if scalar == f16 else _memory(scalar)


def _parameter(param: Param) -> str:
    name = f"p_{_ascii(param.name)}"
    if isinstance(param.type, ScalarType):
        return f"{_memory(param.type)} {name}"
    assert isinstance(param.type, ArrayType)
    const = "" if param.is_written else "const "
    # NVIDIA's compiler would read a restrict pointer to const through a cache that misses the kernel's own stores, also
    # where it joins such a load with one from an array that the kernel writes.
    restrict = "restrict " if param.is_written else ""
    return f"__global {const}{_memory(param.type.element)} *{restrict}{name}"


def _work_group(block: tuple[int, ...] | None) -> str:
    if block is None:
        return ""
    sizes = [*reversed(block), 1, 1][:3]
    return f"__attribute__((reqd_work_group_size({', '.join(map(str, sizes))})))\n"
