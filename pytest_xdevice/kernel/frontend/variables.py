"""A kernel's local variables: their types, where they may be unset, and which belong to a parallel loop's iterations.

Python's rule holds: a name is one variable in the whole function. Each parallel loop is the exception, since its
iterations are independent: what it assigns is its own, and is gone after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field
from typing import Optional

from pytest_xdevice.kernel.types import LocalArray
from pytest_xdevice.kernel.types import ScalarType

from .local_memory import check_size
from .promote import Refusal

# The names that surely have a value at a point of the program, or None where it cannot be reached.
Assigned = Optional[frozenset[str]]


def meet(left: Assigned, right: Assigned) -> Assigned:
    """Return what is assigned where two paths come together."""
    if left is None or right is None:
        return right if left is None else left
    return left & right


@dataclass
class LoopPaths:
    """The ways out of the body of a loop."""

    line: int
    parallel: bool = False
    breaks: Assigned = None
    continues: Assigned = None


@dataclass
class _Scope:
    """Source name to name in the IR."""

    names: dict[str, str] = field(default_factory=dict)
    shadowed: set[str] = field(default_factory=set)
    bytes_taken: dict[str, int] = field(default_factory=dict)


class Variables:
    """The locals of a kernel and what is known of them at the place that is being read.

    Attributes
    ----------
    types : dict of str to ScalarType
        Every local by its name in the IR, which is unique in the kernel.
    arrays : dict of str to LocalArray
        Every array that the kernel makes, by its name in the IR.
    assigned : frozenset of str or None
        IR names that surely have a value here; None where no path leads.
    loops : list of LoopPaths
        The loops around this place, outermost first.
    running : set of str
        IR names of the variables that those loops count with.
    first_lines : dict of str to int
        The line that first gives a value, by IR name.

    Parameters
    ----------
    reserved : frozenset of str
        Names that no local may have in the IR: those of the parameters.
    """

    def __init__(self, reserved: frozenset[str]) -> None:
        self.types: dict[str, ScalarType] = {}
        self._reserved = reserved
        self.arrays: dict[str, LocalArray] = {}
        self.assigned: Assigned = frozenset()
        self.loops: list[LoopPaths] = []
        self.running: set[str] = set()
        self.first_lines: dict[str, int] = {}
        self._outer = _Scope()
        self._inner: _Scope | None = None
        self._branch_lines: dict[str, int] = {}
        self._former: dict[str, int] = {}
        self._ended: dict[str, int] = {}

    def of_a_call(self) -> Variables:
        """Return the variables of a helper function that is called here: its own, with names unique in the kernel."""
        inner = Variables(self._reserved)
        inner.types, inner.arrays, inner.first_lines = self.types, self.arrays, self.first_lines
        inner._outer.bytes_taken = (self._inner or self._outer).bytes_taken  # its arrays are this iteration's
        return inner

    # --- scopes -----------------------------------------------------------------------------------------

    @property
    def in_parallel(self) -> bool:
        """Whether this place is inside a parallel loop."""
        return self._inner is not None

    def enter_parallel(self) -> None:
        """Begin the scope of a parallel loop."""
        self._inner = _Scope()

    def leave_parallel(self, line: int) -> None:
        """End it: its names are gone, and names of the kernel that it used for itself have no value any more."""
        assert self._inner is not None
        self._former.update((name, line) for name in self._inner.names)
        lost = {self._outer.names[name] for name in self._inner.shadowed}
        self._inner = None
        # An array of the part that runs once does not outlive it: a parallel loop is a launch of its own.
        ended = {unique: line for unique in self._outer.names.values() if unique in self.arrays}
        self._ended = ended | self._ended
        if self.assigned is not None:
            self.assigned -= lost | set(ended)

    def declare(self, name: str, type_: ScalarType, line: int, *, loop: bool = False) -> tuple[str, bool]:
        """Give `name` a value here.

        Parameters
        ----------
        name : str
            As in the source.
        type_ : ScalarType
            Its type if this is the first value in the text.
        line : int
            The line that gives the value.
        loop : bool
            Whether a loop counts with it, which inside a parallel loop makes it that loop's own.

        Returns
        -------
        (str, bool)
            Its name in the IR, and whether this is the first value in the text.

        Raises
        ------
        Refusal
            Inside a parallel loop, if the name is a local of the kernel; or if a loop around is counting with it.
        """
        scope = self._inner or self._outer
        known = scope.names.get(name)
        if known is not None:
            if known in self.running:
                raise Refusal(f"'{name}' counts the loop around this line.", "Use another name, or a while loop.")
            if known in self.arrays:
                raise Refusal(
                    f"'{name}' is {self.arrays[known]} since line {self.first_lines[known]}.",
                    f"Write to its elements: {name}[i] = ...",
                )
            return known, False
        if self._inner is not None and name in self._outer.names:
            if not loop:
                raise Refusal(
                    f"'{name}' is a local outside of the parallel loop, whose iterations are independent.",
                    "Give the value in the loop another name, write it to an array, or sum up in a 'range' loop or "
                    "with atomic_add().",
                )
            self._inner.shadowed.add(name)
        unique = self._unique(name)
        scope.names[name] = unique
        self.types[unique] = type_
        self.first_lines[unique] = line
        return unique, True

    def declare_array(self, name: str, array: LocalArray, line: int) -> str:
        """Make an array here and return its name in the IR; arguments are as those of `declare`.

        Raises
        ------
        Refusal
            If the name is something else already, or there is no room.
        """
        scope = self._inner or self._outer
        known = scope.names.get(name)
        if known is None:
            known, _ = self.declare(name, array.element, line)
            del self.types[known]
            self.arrays[known] = array
            scope.bytes_taken[array.space] = check_size(scope.bytes_taken.get(array.space, 0), array)
        elif self.arrays.get(known) != array or array.space == "shared":
            former = self.arrays.get(known) or self.types[known]
            raise Refusal(f"'{name}' is {former} since line {self.first_lines[known]}.", "Use another name.")
        self._ended.pop(known, None)
        self.mark(known)
        return known

    @property
    def private_bytes(self) -> int:
        """Bytes that the private arrays of this iteration take so far."""
        return (self._inner or self._outer).bytes_taken.get("private", 0)

    def temporary(self, name: str, type_: ScalarType) -> str:
        """Return the IR name of a new local that no source name stands for."""
        unique = self._unique(f"{name}_new")
        self.types[unique] = type_
        return unique

    def _unique(self, name: str) -> str:
        candidate, count = name, 1
        while candidate in self.types or candidate in self.arrays or candidate in self._reserved:
            count += 1
            candidate = f"{name}_{count}"
        return candidate

    def is_given(self, name: str) -> bool:
        """Whether a source name has been given a value above."""
        return self._find(name) is not None or name in self._former

    def known_type(self, name: str) -> ScalarType | None:
        """Return the type of a source name that has been given a value above, or None."""
        return self.types.get(self._find(name) or "")

    def array_type(self, name: str) -> LocalArray | None:
        """Return the array that a source name has been given above, or None."""
        return self.arrays.get(self._find(name) or "")

    def _find(self, name: str) -> str | None:
        if self._inner is not None and name in self._inner.names:
            return self._inner.names[name]
        return self._outer.names.get(name)

    # --- definite assignment ----------------------------------------------------------------------------

    def mark(self, unique: str) -> None:
        """Note that an IR name has a value from here on."""
        if self.assigned is not None:
            self.assigned |= {unique}

    def read(self, name: str) -> tuple[str, ScalarType]:
        """Return the IR name and type of a source name that stands for a scalar.

        Raises
        ------
        Refusal
            If it has no value here, or may have none.
        """
        unique = self._with_value(name)
        return unique, self.types[unique]

    def read_array(self, name: str) -> str:
        """Return the IR name of a source name that stands for an array.

        Raises
        ------
        Refusal
            If there is no such array here, or there may be none.
        """
        unique = self._find(name)
        if unique in self._ended or (self._inner is not None and unique == self._outer.names.get(name)):
            raise Refusal(
                f"'{name}' is an array of the part of the kernel that runs once, and no parallel loop comes into it.",
                f"Make it again with {self.arrays[unique]} here, or pass an InOut array." if unique is not None else "",
            )
        return self._with_value(name)

    def _with_value(self, name: str) -> str:
        """Return the IR name of a source name that has a value here."""
        unique = self._find(name)
        if unique is None:
            if name in self._former:
                raise Refusal(
                    f"'{name}' belongs to the iterations of the parallel loop on line {self._former[name]}.",
                    "Write what is needed after the loop to an array.",
                )
            raise Refusal(f"'{name}' is read before it is given a value.", f"Assign to '{name}' above this line.")
        if self.assigned is not None and unique not in self.assigned:
            where = self._branch_lines.get(unique)
            above = f"above line {where}" if where else "on every path to this line"
            raise Refusal(f"'{name}' may be unset here.", f"Give '{name}' a value {above}.")
        return unique

    def join(self, left: Assigned, right: Assigned, line: int) -> None:
        """Go on where two paths from the statement on `line` come together."""
        self.assigned = meet(left, right)
        if self.assigned is not None:
            for name in ((left or frozenset()) | (right or frozenset())) - self.assigned:
                self._branch_lines.setdefault(name, line)
