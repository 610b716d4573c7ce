"""What a kernel's names mean outside of it: module globals, closure values, built-ins, and attributes of those."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from collections.abc import Mapping
from types import FrameType
from types import FunctionType
from typing import Any
from typing import Final

MISSING: Final = object()


class Reads:
    """What was read from outside of a kernel while it was compiled."""

    def __init__(self) -> None:
        self._values: dict[tuple[int, str], tuple[Callable[[], Any], Any]] = {}

    def read(self, owner: object, name: str, read: Callable[[], Any]) -> Any:
        """Return what `read` gives: the value of `name` in `owner`."""
        value = read()
        self._values[id(owner), name] = (read, value)  # keeps the owner, so that its id stays its own
        return value

    def still_hold(self) -> bool:
        """Tell whether reading everything again would give the same."""
        try:
            return all(_same(read(), value) for read, value in self._values.values())
        except AttributeError:
            return False


def _same(now: object, then: object) -> bool:
    return now is then or (type(now) is type(then) and isinstance(now, (bool, int, float)) and repr(now) == repr(then))


class Captured:
    """Looks up the names that a kernel function uses and does not define.

    Parameters
    ----------
    function : FunctionType
        The kernel's Python function.
    enclosing : mapping of str to object
        Names of the enclosing function that only the annotations use, so that they are in no closure.
    reads : Reads, optional
        Where `read` and `attribute` note what they return.
    """

    def __init__(self, function: FunctionType, enclosing: Mapping[str, Any], reads: Reads | None = None) -> None:
        self._globals = function.__globals__
        self._cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
        self._enclosing = enclosing
        self._function = function
        self._reads = reads or Reads()

    def of_helper(self, helper: FunctionType) -> Captured:
        """Return what the names of a helper function mean."""
        enclosing = self._enclosing if defined_in_one_frame(self._function, helper) else {}
        return Captured(helper, enclosing, self._reads)

    @property
    def names(self) -> tuple[str, ...]:
        """The names that the function can use without defining them, but for the built-in ones."""
        return (*self._cells, *self._enclosing, *self._globals)

    def read(self, name: str) -> Any:
        """Return the object that `name` stands for now, or `MISSING`; the kernel depends on it."""
        return self._reads.read(self, name, lambda: self.lookup(name))

    def attribute(self, owner: object, name: str) -> Any:
        """Return an attribute of an object from outside; the kernel depends on it.

        Raises
        ------
        AttributeError
            If it has none.
        """
        return self._reads.read(owner, name, lambda: getattr(owner, name))

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


def names_of_annotations(function: FunctionType, frame: FrameType) -> dict[str, Any]:
    """Return what annotations kept as text will need of the frame that defines the function: `frame`, or a caller's.

    With ``from __future__ import annotations``, a factory's parameter that only an annotation uses is in no closure.
    The annotations of helpers that are defined beside the function count as well.
    """
    definer = _definer(function, frame)
    if definer is None:  # it has returned, and what was in no closure is gone
        return {}
    wanted: set[str] = set()
    for each in _defined_beside(function):
        for text in each.__annotations__.values():
            wanted.update(_names_in(text) if isinstance(text, str) else ())
    names = definer.f_locals
    return {name: names[name] for name in wanted if name in names}


def _definer(function: FunctionType, frame: FrameType | None) -> FrameType | None:
    """Return the frame that runs the body in which `function` is defined, or None."""
    while frame is not None and not any(constant is function.__code__ for constant in frame.f_code.co_consts):
        frame = frame.f_back
    return frame


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
