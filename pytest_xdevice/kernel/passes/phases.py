"""Cut a kernel into the launches that OpenCL needs, and find what one launch must hand to the next.

A parallel loop is a launch of its own; a run of sequential statements between them is a launch of one work-item.
A run that only computes locals from parameters and dims costs no launch: each later one computes it for itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pytest_xdevice.kernel.ir import Assign
from pytest_xdevice.kernel.ir import Atomic
from pytest_xdevice.kernel.ir import Expr
from pytest_xdevice.kernel.ir import For
from pytest_xdevice.kernel.ir import If
from pytest_xdevice.kernel.ir import KernelIR
from pytest_xdevice.kernel.ir import Local
from pytest_xdevice.kernel.ir import Parallel
from pytest_xdevice.kernel.ir import Result
from pytest_xdevice.kernel.ir import Return
from pytest_xdevice.kernel.ir import Stmt
from pytest_xdevice.kernel.traversal import children
from pytest_xdevice.kernel.traversal import expressions
from pytest_xdevice.kernel.traversal import loads
from pytest_xdevice.kernel.traversal import walk

# Each carried local takes one slot, whatever its type.
SLOT_BYTES = 8


@dataclass(frozen=True)
class PhasePlan:
    """One launch.

    Attributes
    ----------
    prologue : tuple of Stmt
        Statements of earlier runs that this launch computes for itself.
    body : tuple of Stmt
        Its own statements: one `Parallel`, or a run without any.
    reads, writes : tuple of str
        Locals that it takes from the carry buffer at its start, and leaves there at its end.
    resets_return, checks_return : bool
        Whether it clears the flag of an early `return`, and whether it does nothing when that is set.
    """

    prologue: tuple[Stmt, ...]
    body: tuple[Stmt, ...]
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    resets_return: bool = False
    checks_return: bool = False

    @property
    def parallel(self) -> Parallel | None:
        """The parallel loop, or None for a launch of one work-item."""
        first = self.body[0]
        return first if isinstance(first, Parallel) else None


@dataclass(frozen=True)
class Plan:
    """The launches in order, and where each carried local lies.

    Attributes
    ----------
    slots : dict of str to int
        Byte offset of each carried local in the carry buffer.
    return_offset : int or None
        Byte offset of the flag that an early `return` sets, where one is needed.
    carry_bytes : int
        Size of the carry buffer.
    """

    phases: tuple[PhasePlan, ...]
    slots: dict[str, int]
    return_offset: int | None

    @property
    def carry_bytes(self) -> int:
        return SLOT_BYTES * (len(self.slots) + (self.return_offset is not None))


def plan_phases(ir: KernelIR) -> Plan:
    """Cut the kernel, as the front end made it, into launches."""
    runs = _runs(ir.body)
    replayed = _replayed(runs)
    launches: list[tuple[tuple[Stmt, ...], tuple[Stmt, ...]]] = []
    prologue: tuple[Stmt, ...] = ()
    for number, run in enumerate(runs):
        if number in replayed:
            prologue += run
        else:
            launches.append((_needed(prologue, read_in(run)), run))
    return _with_carry(launches, {param.name for param in ir.signature.params})


def _runs(body: tuple[Stmt, ...]) -> list[tuple[Stmt, ...]]:
    """Return the maximal runs of sequential statements, and each parallel loop by itself."""
    runs: list[tuple[Stmt, ...]] = []
    current: list[Stmt] = []
    for statement in body:
        if isinstance(statement, Parallel):
            runs += [tuple(current)] if current else []
            runs.append((statement,))
            current = []
        else:
            current.append(statement)
            if isinstance(statement, Return):
                break
    return [*runs, tuple(current)] if current else runs


def _replayed(runs: list[tuple[Stmt, ...]]) -> set[int]:
    """Return the numbers of the runs that every later launch can compute for itself: short and without memory."""
    found = {number for number, run in enumerate(runs) if all(map(_is_uniform, walk(run)))}
    while True:
        # A local that some launch computes cannot be computed anew elsewhere, nor can what depends on it.
        fixed = set().union(*(assigned_in(run) for number, run in enumerate(runs) if number not in found))
        lost = {number for number in found if fixed & (assigned_in(runs[number]) | read_in(runs[number]))}
        if not lost:
            return found
        found -= lost


def _is_uniform(statement: Stmt) -> bool:
    return isinstance(statement, (Assign, If, Result, Return)) and not any(
        any(loads(expr)) for expr in expressions(statement)
    )


def _needed(prologue: tuple[Stmt, ...], names: set[str]) -> tuple[Stmt, ...]:
    """Return the statements of `prologue` that decide on a return or on a local in `names`."""
    needed = set(names)
    kept: list[Stmt] = []
    for statement in reversed(prologue):
        returns = any(isinstance(inner, Return) for inner in walk([statement]))
        if returns or assigned_in([statement]) & needed:
            kept.append(statement)
            needed |= read_in([statement])
    return tuple(reversed(kept))


def _with_carry(launches: list[tuple[tuple[Stmt, ...], tuple[Stmt, ...]]], params: set[str]) -> Plan:
    """Return the plan: what each launch reads and writes of the carry buffer."""
    assigned = [set() if isinstance(run[0], Parallel) else assigned_in(run) for _, run in launches]
    read = [read_in(run) - params for _, run in launches]
    carried = sorted(
        {
            name
            for earlier in range(len(launches))
            for later in range(earlier + 1, len(launches))
            for name in assigned[earlier] & read[later]
        }
    )
    returning = [number for number, (_, run) in enumerate(launches) if _returns(run) and number + 1 < len(launches)]
    phases = []
    known: set[str] = set()
    for number, (prologue, run) in enumerate(launches):
        reads = known & set(carried) & (read[number] | assigned[number])
        writes = assigned[number] & set(carried)
        known |= writes
        resets, checks = number in returning[:1], bool(returning) and number > returning[0]
        phases.append(PhasePlan(prologue, run, tuple(sorted(reads)), tuple(sorted(writes)), resets, checks))
    slots = {name: SLOT_BYTES * number for number, name in enumerate(carried)}
    return Plan(tuple(phases), slots, SLOT_BYTES * len(slots) if returning else None)


def _returns(run: Iterable[Stmt]) -> bool:
    return any(isinstance(statement, Return) for statement in walk(run))


def assigned_in(statements: Iterable[Stmt]) -> set[str]:
    """Return the locals that the statements, and those inside them, give a value."""
    names: set[str] = set()
    for statement in walk(statements):
        if isinstance(statement, Assign):
            names.add(statement.name)
        elif isinstance(statement, Atomic) and statement.result is not None:
            names.add(statement.result)
        elif isinstance(statement, For):
            names.add(statement.variable)
        elif isinstance(statement, Parallel):
            names.update(statement.variables)
    return names


def read_in(statements: Iterable[Stmt]) -> set[str]:
    """Return the locals and scalar parameters that the statements, and those inside them, read."""
    names: set[str] = set()

    def read(expr: Expr) -> None:
        if isinstance(expr, Local):
            names.add(expr.name)
        for child in children(expr):
            read(child)

    for statement in walk(statements):
        for expr in expressions(statement):
            read(expr)
    return names
