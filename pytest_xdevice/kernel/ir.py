"""The typed intermediate representation of a kernel: what the front end makes and everything else reads.

Every expression has a type and a location. The meaning of each node is the language's (floor division,
wrapping integers, saturating casts, short-circuit evaluation); `legalise` rewrites those into nodes that
printers can spell without a decision, marked "legal" below. The interpreter reads the IR before that.
"""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field
from typing import Literal
from typing import Union

from .signature import Signature
from .types import AnyArray
from .types import ArrayType
from .types import LocalArray
from .types import ScalarType


@dataclass(frozen=True)
class Location:
    """A place in a source file: line from 1, column from 0 as in `ast`."""

    line: int
    column: int
    end_column: int


# --- expressions -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Const:
    """A literal or captured constant, already of its final type."""

    value: bool | int | float
    type: ScalarType
    at: Location


@dataclass(frozen=True)
class Local:
    """The value of a local scalar, a loop variable or a scalar parameter. Names are unique in a kernel."""

    name: str
    type: ScalarType
    at: Location


@dataclass(frozen=True)
class DimValue:
    """The value of a dim, an i64."""

    name: str
    type: ScalarType
    at: Location


@dataclass(frozen=True)
class Load:
    """An element of an array. One index a dimension, each an integer expression (i64)."""

    array: str
    indices: tuple[Expr, ...]
    type: ScalarType
    at: Location


UnaryOp = Literal["neg", "invert", "not"]


@dataclass(frozen=True)
class Unary:
    op: UnaryOp
    operand: Expr
    type: ScalarType
    at: Location


BinaryOp = Literal["add", "sub", "mul", "div", "floordiv", "mod", "pow", "shl", "shr", "and", "or", "xor"]
# Legal forms: operands are such that the hardware instruction has the language's meaning.
LegalOp = Literal["sdiv", "srem", "udiv", "urem", "ashr", "lshr", "fmod"]


@dataclass(frozen=True)
class Binary:
    """Arithmetic on two operands of the node's own type.

    The right operand of ``pow`` is a whole constant from 0 to 64: the base is squared and multiplied from the lowest
    bit of the exponent up. Any other power is a `Call` of ``pow``.
    """

    op: BinaryOp | LegalOp
    left: Expr
    right: Expr
    type: ScalarType
    at: Location


CompareOp = Literal["eq", "ne", "lt", "le", "gt", "ge"]


@dataclass(frozen=True)
class Compare:
    """A comparison of two operands of one type; NaN compares unequal to everything. Its own type is bool_."""

    op: CompareOp
    left: Expr
    right: Expr
    type: ScalarType
    at: Location


@dataclass(frozen=True)
class Logic:
    """`and` / `or` of two bool_ operands; the right one is evaluated only when the left does not decide."""

    op: Literal["and", "or"]
    left: Expr
    right: Expr
    type: ScalarType
    at: Location


@dataclass(frozen=True)
class Select:
    """``a if condition else b``; only the chosen branch is evaluated.

    Legal form: both branches are cheap and touch no memory, so it does not matter whether both are evaluated.
    """

    condition: Expr
    then: Expr
    otherwise: Expr
    type: ScalarType
    at: Location


@dataclass(frozen=True)
class Cast:
    """A conversion: floats to integers saturate (NaN gives 0), integers wrap, anything to bool_ is ``!= 0``."""

    operand: Expr
    type: ScalarType
    at: Location


@dataclass(frozen=True)
class Call:
    """A function of the math table (`mathtable.FUNCTIONS`), operands already of the types it takes."""

    function: str
    arguments: tuple[Expr, ...]
    type: ScalarType
    at: Location


@dataclass(frozen=True)
class InlinedCall:
    """A call of a helper function: `bindings` give its parameters their values, in order, then its `body` runs.

    Legal kernels have none. Locals of the helper are locals of the kernel under names of their own, and no other
    statement uses them. The body ends at the first `Result`.

    Attributes
    ----------
    helper : str
        The function's name.
    has_value : bool
        False for a helper that returns none; `type` then says nothing, and the call stands in an `Evaluate`.
    """

    helper: str
    bindings: tuple[Assign, ...]
    body: tuple[Stmt, ...]
    type: ScalarType
    at: Location
    has_value: bool = True


Expr = Union[Const, Local, DimValue, Load, Unary, Binary, Compare, Logic, Select, Cast, Call, InlinedCall]


# --- statements ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Assign:
    """Give a local scalar a value; `declares` on the assignment that comes first in the text."""

    name: str
    value: Expr
    at: Location
    declares: bool


@dataclass(frozen=True)
class Store:
    """Write an element of an array; `value` has the element type."""

    array: str
    indices: tuple[Expr, ...]
    value: Expr
    at: Location


AtomicOp = Literal["add", "min", "max", "cas"]


@dataclass(frozen=True)
class Atomic:
    """Change an element in one step that no other comes between, and give the local `result` what it was before.

    `operands` are of the element's type: one, or for ``cas`` the expected and the desired value. `cas` compares bits.
    """

    op: AtomicOp
    array: str
    indices: tuple[Expr, ...]
    operands: tuple[Expr, ...]
    result: str | None
    type: ScalarType
    at: Location


@dataclass(frozen=True)
class Clear:
    """Make a private array: all its elements are 0 from here on."""

    array: str
    at: Location


@dataclass(frozen=True)
class Barrier:
    """Wait for the other items of the work-group; every one of them comes here, the same number of times."""

    at: Location


@dataclass(frozen=True)
class If:
    condition: Expr
    then: tuple[Stmt, ...]
    otherwise: tuple[Stmt, ...]
    at: Location


@dataclass(frozen=True)
class While:
    condition: Expr
    body: tuple[Stmt, ...]
    at: Location


@dataclass(frozen=True)
class For:
    """``for variable in range(start, stop, step)``; bounds are evaluated once; step is a non-zero i64 constant
    or an expression (then a step of 0 runs no iteration). After the loop the variable keeps its last value."""

    variable: str
    start: Expr
    stop: Expr
    step: Expr
    body: tuple[Stmt, ...]
    at: Location


@dataclass(frozen=True)
class Parallel:
    """``for i, j in parallel(m, n, block=...)``: independent iterations over start..extent of each, last fastest.

    `starts` holds the first value of each variable; empty means 0 for each. Starts and extents, which are the ends
    of the variables, are i64 expressions over dims, scalar parameters and constants only. `block` is the work-group
    size, one entry a variable, or None where the device may choose. `grid` is the number of work-groups, which then
    take iterations in turns, or None for as many as there are iterations for; a launch may ask for it. `shared` names
    the arrays of a work-group, which hold nothing in particular at first. `Barrier` and `shared` need a block.

    Legal form on a CPU: a loop inside another is that over the items of a group; see `groups`.
    """

    variables: tuple[str, ...]
    extents: tuple[Expr, ...]
    block: tuple[int, ...] | None
    body: tuple[Stmt, ...]
    at: Location
    starts: tuple[Expr, ...] = ()
    grid: tuple[int, ...] | None = None
    shared: tuple[str, ...] = ()


@dataclass(frozen=True)
class Break:
    at: Location


@dataclass(frozen=True)
class Continue:
    """Go on with the next iteration of the innermost loop, a parallel one included."""

    at: Location


@dataclass(frozen=True)
class Return:
    """End the kernel; never inside a parallel loop."""

    at: Location


@dataclass(frozen=True)
class Result:
    """End the innermost `InlinedCall`, with a value unless it has none."""

    value: Expr | None
    at: Location


@dataclass(frozen=True)
class Evaluate:
    """Evaluate a call for what it writes."""

    call: InlinedCall
    at: Location


Stmt = Union[
    Assign, Store, Atomic, Clear, Barrier, If, While, For, Parallel, Break, Continue, Return, Result, Evaluate
]  # fmt: skip


@dataclass(frozen=True)
class KernelIR:
    """A whole kernel. `Parallel` stands only at the top level of `body`.

    Attributes
    ----------
    signature : Signature
    locals : dict of str to ScalarType
        Every local scalar and loop variable of the kernel, by its unique name.
    body : tuple of Stmt
    arrays : dict of str to LocalArray
        Every array that the kernel makes for itself, by its unique name.
    filename : str
        Where the source is, for messages.
    """

    signature: Signature
    locals: dict[str, ScalarType]
    body: tuple[Stmt, ...]
    filename: str = field(default="<kernel>")
    fast: frozenset[str] = field(default=frozenset())
    arrays: dict[str, LocalArray] = field(default_factory=dict)

    def array(self, name: str) -> AnyArray:
        """Return the type of an array: a parameter's, or that of one which the kernel makes."""
        if name in self.arrays:
            return self.arrays[name]
        type_ = next(param.type for param in self.signature.params if param.name == name)
        assert isinstance(type_, ArrayType)
        return type_
