"""The rule that all items of a work-group come to a `barrier()`."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping
from typing import Final

from pytest_xdevice.kernel.ir import Barrier
from pytest_xdevice.kernel.ir import Continue
from pytest_xdevice.kernel.ir import For
from pytest_xdevice.kernel.ir import If
from pytest_xdevice.kernel.ir import Parallel
from pytest_xdevice.kernel.ir import Stmt
from pytest_xdevice.kernel.ir import While
from pytest_xdevice.kernel.passes.uniformity import free_jumps
from pytest_xdevice.kernel.passes.uniformity import Uniformity
from pytest_xdevice.kernel.traversal import has_barrier
from pytest_xdevice.kernel.traversal import walk
from pytest_xdevice.kernel.types import LocalArray

from .source import KernelText

_UNIFORM: Final = "dims, parameters, constants and the group's index (i // block)"


def check_barriers(text: KernelText, loop: Parallel, arrays: Mapping[str, LocalArray]) -> None:
    """Refuse a loop in which some items of a work-group may come to a barrier and others not.

    Raises
    ------
    KernelError
        At the barrier, or at the jump past it.
    """
    if has_barrier(loop.body):
        _Checker(text, Uniformity(loop, arrays)).iteration(loop.body)


class _Checker:
    def __init__(self, text: KernelText, uniformity: Uniformity) -> None:
        self._text = text
        self._uniformity = uniformity

    def iteration(self, body: tuple[Stmt, ...]) -> None:
        """Check the body of the parallel loop itself."""
        for position, statement in enumerate(body):
            barrier_below = _first_barrier(body[position:])
            jump = next(free_jumps([statement]), None)
            if jump is not None and barrier_below is not None:
                raise self._text.error(
                    jump.at,
                    f"'continue' ends an iteration before the barrier on line {barrier_below.at.line}.",
                    "Put an 'if' around what the iteration must not do, and keep barrier() out of it.",
                )
            self._statement(statement)

    def _statement(self, statement: Stmt) -> None:
        inside = _first_barrier([statement])
        if inside is None or inside is statement:
            return
        if isinstance(statement, If):
            if not self._uniformity.is_uniform(statement.condition):
                raise self._text.error(
                    inside.at,
                    f"not every item of a work-group comes to this barrier: the condition on line "
                    f"{statement.at.line} differs between them.",
                    f"Move barrier() out of the 'if', or use {_UNIFORM} in the condition.",
                )
            self._all((*statement.then, *statement.otherwise))
        elif isinstance(statement, (For, While)):
            self._check_loop(statement, inside)
            self._all(statement.body)

    def _all(self, statements: Iterable[Stmt]) -> None:
        for statement in statements:
            self._statement(statement)

    def _check_loop(self, loop: For | While, inside: Barrier) -> None:
        jump = self._uniformity.divergent_jump(loop.body)
        if jump is not None:
            word = "continue" if isinstance(jump, Continue) else "break"
            raise self._text.error(
                jump.at,
                f"'{word}' takes some items of a work-group past the barrier on line {inside.at.line}.",
                f"Use {_UNIFORM} in its condition, or put an 'if' around what some items skip.",
            )
        if not self._uniformity.runs_uniformly(loop):
            raise self._text.error(
                inside.at,
                f"not every item of a work-group comes to this barrier as often: the loop on line {loop.at.line} "
                f"differs between them.",
                f"Use {_UNIFORM} in the loop's bounds or condition.",
            )


def _first_barrier(statements: Iterable[Stmt]) -> Barrier | None:
    return next((statement for statement in walk(statements) if isinstance(statement, Barrier)), None)
