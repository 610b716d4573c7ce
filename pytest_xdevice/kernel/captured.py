"""What a kernel's names mean outside of it: module globals, closure values, built-ins, and attributes of those."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from types import FunctionType
from typing import Any
from typing import Final

MISSING: Final = object()


class Captured:
    """Looks up the names that a kernel function uses and does not define.

    Parameters
    ----------
    function : FunctionType
        The kernel's Python function.
    enclosing : mapping of str to object
        Names of the enclosing function that only the annotations use, so that they are in no closure.
    """

    def __init__(self, function: FunctionType, enclosing: Mapping[str, Any]) -> None:
        self._globals = function.__globals__
        self._cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
        self._enclosing = enclosing
        self._function = function

    def of_helper(self, helper: FunctionType) -> Captured:
        """Return what the names of a helper function mean."""
        return Captured(helper, self._enclosing if defined_in_one_frame(self._function, helper) else {})

    def lookup(self, name: str) -> Any:
        """Return the object that `name` stands for now, or `MISSING`."""
        if name in self._cells:
            try:
                return self._cells[name].cell_contents
            except ValueError:  # a variable of the enclosing function that has not been assigned yet
                return MISSING
        for names in (self._enclosing, self._globals, vars(builtins)):
            if name in names:
                return names[name]
        return MISSING

    def evaluate(self, expression: str) -> Any:
        """Return the value of an annotation that was written, or kept, as text."""
        code = compile(expression, "<annotation>", "eval")
        values = {name: self.lookup(name) for name in code.co_names}
        return eval(code, {name: value for name, value in values.items() if value is not MISSING})


def names_of_annotations(function: FunctionType, frame_locals: Mapping[str, Any]) -> dict[str, Any]:
    """Return what annotations kept as text will need of the frame that defines the function.

    With ``from __future__ import annotations``, a factory's parameter that only an annotation uses is in no closure.
    The annotations of helpers that are defined beside the function count as well.
    """
    wanted: set[str] = set()
    for each in _defined_beside(function):
        for text in each.__annotations__.values():
            wanted.update(_names_in(text) if isinstance(text, str) else ())
    return {name: frame_locals[name] for name in wanted if name in frame_locals}


def defined_in_one_frame(function: FunctionType, other: FunctionType) -> bool:
    """Tell whether two functions are defined in the body of one function."""
    frame = function.__qualname__.rpartition(".")[0]
    return frame.endswith("<locals>") and (frame, function.__module__) == (
        other.__qualname__.rpartition(".")[0],
        other.__module__,
    )


def _defined_beside(function: FunctionType) -> list[FunctionType]:
    """Return `function`, and those beside it that it refers to, directly or through each other."""
    found = [function]
    for each in found:
        for cell in each.__closure__ or ():
            try:
                value = cell.cell_contents
            except ValueError:  # a function that is defined below
                continue
            if isinstance(value, FunctionType) and value not in found and defined_in_one_frame(function, value):
                found.append(value)
    return found


def _names_in(annotation: str) -> tuple[str, ...]:
    try:
        return compile(annotation, "<annotation>", "eval").co_names
    except SyntaxError:  # reported, with its place, when the signature is read
        return ()
