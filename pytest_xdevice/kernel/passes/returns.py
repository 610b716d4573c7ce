"""Make the early returns of an inlined call structural: targets have no jump to the end of a part of a kernel.

A `Result` becomes an assignment. What follows an `if` that returns moves into the branch that does not; where that is
no one branch, and after a loop, a flag says whether the call has returned. A body of many returns becomes the one
iteration of a loop, which they leave: it would nest too deep otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from pytest_xdevice.kernel.ir import Assign
from pytest_xdevice.kernel.ir import Break
from pytest_xdevice.kernel.ir import Const
from pytest_xdevice.kernel.ir import For
from pytest_xdevice.kernel.ir import If
from pytest_xdevice.kernel.ir import Local
from pytest_xdevice.kernel.ir import Location
from pytest_xdevice.kernel.ir import Result
from pytest_xdevice.kernel.ir import Stmt
from pytest_xdevice.kernel.ir import Unary
from pytest_xdevice.kernel.ir import While
from pytest_xdevice.kernel.types import bool_

_MOST_NESTED: Final = 32


def gives_result(statements: Iterable[Stmt]) -> bool:
    """Tell whether one of the statements, or one inside them, ends the call."""
    for statement in statements:
        if isinstance(statement, Result):
            return True
        if isinstance(statement, If) and gives_result((*statement.then, *statement.otherwise)):
            return True
        if isinstance(statement, (While, For)) and gives_result(statement.body):
            return True
    return False


def without_results(body: Sequence[Stmt], result: str, new_flag: Callable[[], str]) -> list[Stmt]:
    """Return statements that do what `body` does, and leave its value in a local.

    Parameters
    ----------
    body : sequence of Stmt
        The body of an inlined call.
    result : str
        The local that takes the value.
    new_flag : callable
        Gives the name of a new local of type bool_.
    """
    rewriter = _Rewriter(result, new_flag)
    if _count_results(body) > _MOST_NESTED:
        at = body[-1].at
        once = (*rewriter.block(body, in_loop=True, flagged=True), Break(at))
        statements: list[Stmt] = [While(Const(True, bool_, at), once, at)]
    else:
        statements = rewriter.block(body, in_loop=False, flagged=False)
    return [*rewriter.flags, *statements]


def _count_results(statements: Iterable[Stmt]) -> int:
    count = 0
    for statement in statements:
        if isinstance(statement, Result):
            count += 1
        elif isinstance(statement, If):
            count += _count_results((*statement.then, *statement.otherwise))
        elif isinstance(statement, (While, For)):
            count += _count_results(statement.body)
    return count


def _surely_ends(statements: Sequence[Stmt]) -> bool:
    last = statements[-1] if statements else None
    if isinstance(last, If):
        return _surely_ends(last.then) and _surely_ends(last.otherwise)
    return isinstance(last, Result)


class _Rewriter:
    """Rewrites one body; `flags` is the statement that resets its flag, where it has one."""

    def __init__(self, result: str, new_flag: Callable[[], str]) -> None:
        self.flags: list[Stmt] = []
        self._result = result
        self._new_flag = new_flag
        self._flag = ""

    def block(self, statements: Sequence[Stmt], *, in_loop: bool, flagged: bool) -> list[Stmt]:
        """Return `statements` without results; with `flagged` each of those sets the flag."""
        made: list[Stmt] = []
        for number, statement in enumerate(statements):
            rest = statements[number + 1 :]
            if isinstance(statement, Result):
                return [*made, *self._give(statement, in_loop=in_loop, flagged=flagged)]
            if not gives_result([statement]):
                made.append(statement)
            elif isinstance(statement, If) and not in_loop:
                return [*made, *self._if(statement, rest, flagged=flagged)]
            elif isinstance(statement, If):  # a loop is left by `break`, so that nothing has to move
                made.append(self._both(statement, in_loop=True))
            else:
                assert isinstance(statement, (While, For))
                body = tuple(self.block(statement.body, in_loop=True, flagged=True))
                made.append(replace(statement, body=body))
                if in_loop:
                    made.append(If(self._returned(statement.at), (Break(statement.at),), (), statement.at))
                else:
                    return [*made, *self._unless_returned(rest, statement.at, flagged=flagged)]
        return made

    def _give(self, statement: Result, *, in_loop: bool, flagged: bool) -> list[Stmt]:
        made: list[Stmt] = []
        if statement.value is not None:
            made.append(Assign(self._result, statement.value, statement.at, declares=False))
        if flagged:
            flag = self._returned(statement.at).name
            made.append(Assign(flag, Const(True, bool_, statement.at), statement.at, declares=False))
        return [*made, Break(statement.at)] if in_loop else made

    def _if(self, statement: If, rest: Sequence[Stmt], *, flagged: bool) -> list[Stmt]:
        then, otherwise = statement.then, statement.otherwise
        if _surely_ends(then):
            otherwise = (*otherwise, *rest)
        elif _surely_ends(otherwise):
            then = (*then, *rest)
        elif rest:
            return [self._both(statement, in_loop=False), *self._unless_returned(rest, statement.at, flagged=flagged)]
        arms = [tuple(self.block(arm, in_loop=False, flagged=flagged)) for arm in (then, otherwise)]
        return [replace(statement, then=arms[0], otherwise=arms[1])]

    def _both(self, statement: If, *, in_loop: bool) -> Stmt:
        arms = [tuple(self.block(arm, in_loop=in_loop, flagged=True)) for arm in (statement.then, statement.otherwise)]
        return replace(statement, then=arms[0], otherwise=arms[1])

    def _unless_returned(self, rest: Sequence[Stmt], at: Location, *, flagged: bool) -> list[Stmt]:
        if not rest:
            return []
        going_on = Unary("not", self._returned(at), bool_, at)
        return [If(going_on, tuple(self.block(rest, in_loop=False, flagged=flagged)), (), at)]

    def _returned(self, at: Location) -> Local:
        """Return the flag, which is made when it is first needed."""
        if not self._flag:
            self._flag = self._new_flag()
            self.flags.append(Assign(self._flag, Const(False, bool_, at), at, declares=True))
        return Local(self._flag, bool_, at)
