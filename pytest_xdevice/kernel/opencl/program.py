"""Print a kernel as an OpenCL C 1.2 program: one ``__kernel`` a phase, and the geometry of its launches."""

from __future__ import annotations

import math
from collections.abc import Callable
from collections.abc import Iterable
from dataclasses import replace

from pytest_xdevice.artifact import OpenCLProgram
from pytest_xdevice.kernel.geometry import ExtentExpr
from pytest_xdevice.kernel.geometry import Phase
from pytest_xdevice.kernel.ir import Assign
from pytest_xdevice.kernel.ir import Atomic
from pytest_xdevice.kernel.ir import Barrier
from pytest_xdevice.kernel.ir import Binary
from pytest_xdevice.kernel.ir import Break
from pytest_xdevice.kernel.ir import Call
from pytest_xdevice.kernel.ir import Cast
from pytest_xdevice.kernel.ir import Clear
from pytest_xdevice.kernel.ir import Const
from pytest_xdevice.kernel.ir import Continue
from pytest_xdevice.kernel.ir import DimValue
from pytest_xdevice.kernel.ir import Expr
from pytest_xdevice.kernel.ir import For
from pytest_xdevice.kernel.ir import If
from pytest_xdevice.kernel.ir import KernelIR
from pytest_xdevice.kernel.ir import Load
from pytest_xdevice.kernel.ir import Local
from pytest_xdevice.kernel.ir import Parallel
from pytest_xdevice.kernel.ir import Return
from pytest_xdevice.kernel.ir import Stmt
from pytest_xdevice.kernel.ir import Store
from pytest_xdevice.kernel.ir import Unary
from pytest_xdevice.kernel.ir import While
from pytest_xdevice.kernel.passes.beyond import guard_regions
from pytest_xdevice.kernel.passes.phases import assigned_in
from pytest_xdevice.kernel.passes.phases import PhasePlan
from pytest_xdevice.kernel.passes.phases import Plan
from pytest_xdevice.kernel.passes.phases import plan_phases
from pytest_xdevice.kernel.passes.phases import read_in
from pytest_xdevice.kernel.passes.small_integers import SmallIntegers
from pytest_xdevice.kernel.traversal import arrays_accessed
from pytest_xdevice.kernel.traversal import children
from pytest_xdevice.kernel.traversal import expressions
from pytest_xdevice.kernel.traversal import loads
from pytest_xdevice.kernel.traversal import locals_of
from pytest_xdevice.kernel.traversal import meaning
from pytest_xdevice.kernel.traversal import walk
from pytest_xdevice.kernel.types import ArrayType
from pytest_xdevice.kernel.types import bool_
from pytest_xdevice.kernel.types import f16
from pytest_xdevice.kernel.types import f32
from pytest_xdevice.kernel.types import f64

from .atomics import atomic_function
from .atomics import INT64_EXTENSION
from .atomics import needs_extension
from .expressions import ExpressionPrinter
from .forms import forms_used
from .mathtable import MathFunctions
from .parallel import is_grouped
from .parallel import ParallelPrinter
from .parallel import with_tile
from .parallel import work_item
from .spelling import c_name
from .spelling import memory_type
from .spelling import parameter
from .spelling import register_type
from .spelling import work_group
from .text import Text


def kernel_program(ir: KernelIR) -> OpenCLProgram:
    """Return the kernel, as the front end made it, as OpenCL C with the geometry of its launches.

    Every ``__kernel`` takes the parameters in order, then the dims, then ``__global char *xd_carry`` when
    `carry_bytes` is not 0: a buffer of that size in which one launch leaves locals for the next.
    """
    plan = plan_phases(ir)
    functions = MathFunctions(own="full" not in ir.fast)
    kernels, phases = [], []
    for number, phase in enumerate(plan.phases):
        entry = f"xd_{c_name(ir.signature.name)}_{number}"
        printer = _PhasePrinter(ir, plan, phase, functions)
        kernels.append(printer.text(entry))
        loop = phase.parallel
        extents = _extents(loop) if loop else ()
        phases.append(
            Phase(entry, extents, loop.block, loop.grid, *printer.work_item) if loop else Phase(entry, extents)
        )
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
        guard_regions(statement, ir.arrays, active) if is_grouped(statement) else statement for statement in ir.body
    )
    return replace(ir, body=body, locals={**ir.locals, active: bool_})


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


class _PhasePrinter:
    """Prints one ``__kernel``.

    Attributes
    ----------
    work_item : tuple
        How many iterations of each variable a GPU's work-item takes, and the work-group that suits them.
    """

    def __init__(self, ir: KernelIR, plan: Plan, phase: PhasePlan, functions: MathFunctions) -> None:
        self._plan = plan
        self._phase = phase
        self._ir, tile = with_tile(_with_guards(replace(ir, body=(*phase.prologue, *phase.body))))
        self._printed = self._ir.body if tile is None else (*self._ir.body, tile.loop)
        self.work_item = work_item(self._ir, tile)
        self._functions = functions
        self._small = SmallIntegers(replace(self._ir, body=self._printed), phase.reads)
        self._expressions = ExpressionPrinter(self._ir, self._small, functions)
        self._text = Text()
        self._parallel = ParallelPrinter(self._text, self._expressions, self._ir, tile, self._iteration)
        self._next = "return;"  # what goes on with the next iteration
        self._statements: dict[type, Callable[..., None]] = {
            Assign: self._assign, Store: self._store, Atomic: self._atomic, Clear: self._clear,
            Barrier: self._barrier, If: self._if, While: self._while, For: self._for, Parallel: self._parallel.loop,
            Break: self._break, Continue: self._continue, Return: self._return,
        }  # fmt: skip

    def text(self, entry: str) -> str:
        """Return the definition of the kernel."""
        self._declare()
        self._receive()
        self._block(self._ir.body)
        for name in self._phase.writes:
            self._text.emit(f"{self._slot(name)} = {self._expressions.name(name)};")
        block = self._phase.parallel.block if self._phase.parallel else None
        lines = [f"{work_group(block)}__kernel void {entry}({', '.join(self._parameters())})", "{"]
        return "\n".join([*lines, *self._text.lines, "}"])

    def _parameters(self) -> Iterable[str]:
        yield from map(parameter, self._ir.signature.params)
        yield from (f"long d_{c_name(name)}" for name in self._ir.signature.dims)
        if self._plan.carry_bytes:
            yield "__global char *xd_carry"

    def _declare(self) -> None:
        used = assigned_in(self._printed) | read_in(self._printed) | set(self._phase.reads)
        for name, scalar in self._ir.locals.items():
            if name in used:
                self._text.emit(f"{self._expressions.c_type(name, scalar)} {self._expressions.name(name)};")
        loaded, stored = arrays_accessed(self._printed)
        for name, array in self._ir.arrays.items():
            if name in loaded | stored:
                space = "__local " if array.space == "shared" else ""
                self._text.emit(f"{space}{register_type(array.element)} a_{c_name(name)}[{math.prod(array.extents)}];")

    def _receive(self) -> None:
        """Print what a phase does before its statements: an earlier return ends it, carried locals come in."""
        if self._phase.resets_return:
            self._text.emit(f"{self._return_flag()} = 0;")
        if self._phase.checks_return:
            self._text.emit(f"if ({self._return_flag()}) return;")
        for name in self._phase.reads:
            self._text.emit(f"{self._expressions.name(name)} = {self._slot(name)};")

    def _slot(self, name: str) -> str:
        c_type = memory_type(self._ir.locals[name])
        return f"*(__global {c_type} *)(xd_carry + {self._plan.slots[name]})"

    def _return_flag(self) -> str:
        return f"*(__global int *)(xd_carry + {self._plan.return_offset})"

    # --- statements --------------------------------------------------------------------------------------

    def _block(self, statements: Iterable[Stmt]) -> None:
        for statement in statements:
            self._statements[type(statement)](statement)
            if isinstance(statement, (Break, Continue, Return)):  # what follows is never reached
                return

    def _iteration(self, statements: Iterable[Stmt], next_: str) -> None:
        """Print the statements of an iteration, in which `next_` goes on with the next one."""
        before, self._next = self._next, next_
        self._block(statements)
        self._next = before

    def _assign(self, statement: Assign) -> None:
        value = self._expressions.value_for(statement.name, statement.value)
        self._text.emit(f"{self._expressions.name(statement.name)} = {value};")

    def _store(self, statement: Store) -> None:
        added = _added(statement)
        value = self._expressions.text(added or statement.value)
        if statement.value.type == f16:
            pointer, index = self._expressions.half_place(statement.array, statement.indices)
            self._text.emit(f"vstore_half_rte({value}, {index}, {pointer});")
        else:
            element = self._expressions.element(statement.array, statement.indices)
            self._text.emit(f"{element} {'+=' if added else '='} {value};")

    def _atomic(self, statement: Atomic) -> None:
        space = "__local" if statement.array in self._ir.arrays else "__global"
        function = atomic_function(self._functions, statement.op, statement.type, space)
        element = self._expressions.element(statement.array, statement.indices)
        arguments = [f"&{element}", *map(self._expressions.text, statement.operands)]
        taken = "" if statement.result is None else f"{self._expressions.name(statement.result)} = "
        self._text.emit(f"{taken}{function}({', '.join(arguments)});")

    def _clear(self, statement: Clear) -> None:
        size = math.prod(self._ir.arrays[statement.array].extents)
        self._text.emit(f"for (int z = 0; z < {size}; ++z) a_{c_name(statement.array)}[z] = 0;")

    def _if(self, statement: If) -> None:
        head = f"if ({self._expressions.text(statement.condition)})"
        with self._text.block(head, "} else {" if statement.otherwise else "}"):
            self._block(statement.then)
        if statement.otherwise:
            with self._text.rest():
                self._block(statement.otherwise)

    def _while(self, statement: While) -> None:
        with self._text.block(f"while ({self._expressions.text(statement.condition)})"):
            self._iteration(statement.body, "continue;")

    def _for(self, statement: For) -> None:
        forward = isinstance(statement.step, Const) and statement.step.value == 1
        if forward and not any(isinstance(inner, Break) for inner in walk(statement.body)):
            self._count(statement)
            return
        number = self._text.number()
        counter, end = f"c{number}", f"e{number}"
        test, step = (f"{counter} < {end}", f"++{counter}") if forward else (f"{counter} > {end}", f"--{counter}")
        start, stop = self._expressions.text(statement.start), self._expressions.text(statement.stop)
        with self._text.block(f"for (long {counter} = {start}, {end} = {stop}; {test}; {step})"):
            self._text.emit(f"{self._expressions.name(statement.variable)} = {counter};")
            self._iteration(statement.body, "continue;")

    def _count(self, statement: For) -> None:
        """Print a loop over successive values, in the way that the device counts fastest."""
        number, variable = self._text.number(), statement.variable
        counter, end, size, step = (f"{letter}{number}" for letter in "cenk")
        start, stop = (self._expressions.value_for(variable, each) for each in (statement.start, statement.stop))
        small = variable in self._small
        if small and not _is_constant_in(statement.stop, statement):
            self._text.emit(f"xd_index s{number} = {stop};")
            stop = f"s{number}"
        kind = "_INDEX" if small else ""
        with self._text.block(f"XD_COUNT{kind}({counter}, {end}, {size}, {step}, {start}, {stop})"):
            self._text.emit(f"{self._expressions.name(variable)} = XD_COUNTED{kind}({counter}, {step});")
            self._iteration(statement.body, "continue;")

    def _barrier(self, _: Barrier) -> None:
        self._text.emit("barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);")

    def _break(self, _: Break) -> None:
        self._text.emit("break;")

    def _continue(self, _: Continue) -> None:
        self._text.emit(self._next)

    def _return(self, _: Return) -> None:
        if self._plan.return_offset is not None and not self._phase.parallel:
            self._text.emit(f"{self._return_flag()} = 1;")
        self._text.emit("return;")


def _added(statement: Store) -> Expr | None:
    """Return what a statement adds to a float in memory, or None if it does something else.

    C reads the element of ``+=`` last, with which a product of matrices in blocks takes 0.96 of the time on an H200.
    """
    value = statement.value
    if not isinstance(value, Binary) or value.op != "add" or value.type not in (f32, f64):
        return None
    element = Load(statement.array, statement.indices, value.type, statement.at)
    return value.right if meaning(value.left) == meaning(element) else None


def _is_constant_in(expr: Expr, loop: For) -> bool:
    """Tell whether an expression has one value all through a loop: a GPU unrolls a loop with such an end better."""
    return not locals_of(expr) & (assigned_in(loop.body) | {loop.variable}) and not any(loads(expr))
