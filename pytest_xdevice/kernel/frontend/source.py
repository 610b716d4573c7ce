"""A kernel's source text: found, parsed, and turned into places for messages."""

from __future__ import annotations

import ast
import inspect
import linecache
from dataclasses import dataclass
from types import CodeType
from types import FunctionType
from typing import Final
from typing import Literal
from typing import Union

from pytest_xdevice.edited import was_edited
from pytest_xdevice.kernel.errors import Excerpt
from pytest_xdevice.kernel.errors import KernelError
from pytest_xdevice.kernel.ir import Location

Place = Union[ast.AST, Location]
Role = Literal["kernel", "helper"]
_NO_SOURCE: Final = "Define it with 'def' in a file or a notebook: exec() and standard input leave no source to read."
_CHANGED: Final = "Was the file changed after it was imported? Start Python again, or define it with a plain 'def'."
_LAMBDA: Final = "<lambda>"
_FATES: Final[dict[Role, str]] = {"kernel": "compiled", "helper": "inlined"}


@dataclass(frozen=True)
class KernelText:
    """The source of one kernel function.

    Attributes
    ----------
    filename : str
        The file it stands in.
    first_line : int
        Number, from 1, of the first of `lines` in that file: the decorator's line.
    lines : list of str
        The function's lines as they are in the file, indentation included.
    node : ast.FunctionDef
        The function, with the line numbers of the file.
    """

    filename: str
    first_line: int
    lines: list[str]
    node: ast.FunctionDef

    def location(self, node: ast.AST) -> Location:
        """Return the place of `node`; of a node that spans lines, the part on its first line."""
        line: int = node.lineno  # type: ignore[attr-defined]
        text = self.line(line).encode()
        start: int = node.col_offset  # type: ignore[attr-defined]
        end = len(text)
        if node.end_lineno == line:  # type: ignore[attr-defined]
            end = node.end_col_offset  # type: ignore[attr-defined]
        return Location(line, len(text[:start].decode()), len(text[:end].decode()))

    def line(self, number: int) -> str:
        """Return line `number` of the file, without its line end."""
        index = number - self.first_line
        return self.lines[index].rstrip("\n") if 0 <= index < len(self.lines) else ""

    def line_of_assignment(self, name: str) -> int:
        """Return the first line that gives `name` a value; that of the function where none is found."""
        stores = (
            each for each in ast.walk(self.node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)
        )
        return min((store.lineno for store in stores if store.id == name), default=self.node.lineno)

    def excerpt(self, place: Place) -> Excerpt:
        """Return `place` with what can be shown of it."""
        at = place if isinstance(place, Location) else self.location(place)
        return Excerpt(self.filename, at.line, at.column + 1, self.line(at.line), at.end_column - at.column)

    def error(self, place: Place, message: str, advice: str = "") -> KernelError:
        """Return the error that says `message` of `place`."""
        at = self.excerpt(place)
        return KernelError(
            message,
            filename=at.filename,
            line=at.line,
            column=at.column,
            advice=advice,
            source_line=at.source_line,
            width=at.width,
        )


def read_source(function: FunctionType, role: Role = "kernel") -> KernelText:
    """Find and parse the source of `function`; an error says what was wanted of it by its `role`.

    Raises
    ------
    KernelError
        If the source cannot be read, or is not that of a plain ``def``.
    """
    code = function.__code__
    if hasattr(function, "__wrapped__"):
        advice = "Put @kernel right above 'def'." if role == "kernel" else "Call the plain function."
        raise _refused(function, role, "a decorator has put another function in its place", advice)
    if function.__name__ == _LAMBDA:
        return _read_lambda(function, role)
    try:
        lines, first_line = inspect.getsourcelines(function)
    except (OSError, TypeError):
        raise _refused(function, role, "its source cannot be read", _NO_SOURCE) from None
    node = _parsed(function, role, lines, first_line)
    if isinstance(node, ast.AsyncFunctionDef):
        raise _refused(function, role, "it is an async function", "Define it with a plain 'def': it runs to its end.")
    if not isinstance(node, ast.FunctionDef) or not _is_source_of(node, code) or was_edited(code):
        raise _refused(function, role, "the source found for it is another", _CHANGED)
    return KernelText(code.co_filename, first_line, lines, node)


def _is_source_of(node: ast.FunctionDef | ast.Lambda, code: CodeType) -> bool:
    """Tell whether `node` has the name and the parameters of `code`."""
    name = _LAMBDA if isinstance(node, ast.Lambda) else node.name
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    count = code.co_argcount + code.co_kwonlyargcount
    return (name, *(argument.arg for argument in arguments)) == (code.co_name, *code.co_varnames[:count])


def _read_lambda(function: FunctionType, role: Role) -> KernelText:
    """Return the source of a lambda, as that of a function which returns its value."""
    if role == "kernel":
        raise _refused(function, role, "a lambda has no loops", "Define it with 'def'; it may call lambdas.")
    code = function.__code__
    try:
        lines, _ = inspect.findsource(function)
        tree = ast.parse("".join(lines))
    except (OSError, TypeError, SyntaxError):
        raise _refused(function, role, "its source cannot be read", _NO_SOURCE) from None
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Lambda) and _is_source_of(node, code)]
    found = [node for node in found if node.lineno == code.co_firstlineno]
    found = found if len(found) == 1 else [node for node in found if _is_code_of(node, code)]
    if len(found) != 1:
        raise _refused(function, role, "which of the lambdas on its line it is cannot be told", "Define it with 'def'.")
    if was_edited(code):
        raise _refused(function, role, "the source found for it is another", _CHANGED)
    (node,) = found
    result = ast.copy_location(ast.Return(node.body), node.body)
    made = ast.FunctionDef(name=_LAMBDA, args=node.args, body=[result], decorator_list=[], returns=None)
    return KernelText(code.co_filename, 1, lines, ast.copy_location(made, node))


def _is_code_of(node: ast.Lambda, code: CodeType) -> bool:
    """Tell whether `code` is what Python makes of `node`, as far as code tells."""
    if hasattr(code, "co_positions"):
        body = node.body
        return (body.lineno, body.end_lineno, body.col_offset, body.end_col_offset) in set(code.co_positions())
    made = compile(ast.Expression(node), code.co_filename, "eval").co_consts[0]
    return (made.co_code, made.co_consts, made.co_names) == (code.co_code, code.co_consts, code.co_names)


def _parsed(function: FunctionType, role: Role, lines: list[str], first_line: int) -> ast.stmt:
    """Return the statement that stands on `lines`, with the line numbers of the file."""
    indented = lines[0][:1].isspace()
    # Under an `if`, an indented function parses as it stands, so that columns are those of the file.
    text = "if 1:\n" + "".join(lines) if indented else "".join(lines)
    try:
        tree = ast.parse(text)
    except SyntaxError:
        raise _refused(function, role, "the source found for it is not a whole function", _CHANGED) from None
    ast.increment_lineno(tree, first_line - (2 if indented else 1))
    outer = tree.body[0]
    return outer.body[0] if isinstance(outer, ast.If) else outer


def _refused(function: FunctionType, role: Role, reason: str, advice: str) -> KernelError:
    code = function.__code__
    shown = linecache.getline(code.co_filename, code.co_firstlineno).rstrip()
    return KernelError(
        f"{role} '{function.__name__}' cannot be {_FATES[role]}: {reason}.",
        filename=code.co_filename,
        line=code.co_firstlineno,
        column=len(shown) - len(shown.lstrip()) + 1,
        advice=advice,
        source_line=shown,
        width=len(shown),
    )
