"""Reads a C prototype: what each parameter is to a launch, and what C's calling convention makes of it."""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass
from typing import Any
from typing import Final
from typing import NoReturn

from ..kernel.errors import KernelError
from ..kernel.types import f16
from ..kernel.types import f32
from ..kernel.types import f64
from .abi import Argument
from .abi import Function
from .abi import Pointer
from .abi import Value

_SIZED: Final = {
    f"{letter}int{bits}_t": Value("uint" if letter else "int", bits) for letter in ("", "u") for bits in (8, 16, 32, 64)
}
_LEAST: Final = {name.replace("int", "int_least", 1): value for name, value in _SIZED.items()} | {
    "intmax_t": Value("int", 64), "uintmax_t": Value("uint", 64),
}  # fmt: skip
_WORDS: Final = {
    "size_t": Value("uint", 0), "uintptr_t": Value("uint", 0), "ssize_t": Value("int", 0),
    "ptrdiff_t": Value("int", 0), "intptr_t": Value("int", 0),
}  # fmt: skip
_FLOATS: Final = {
    "float": Value("float", 32), "double": Value("float", 64),
    "float32_t": Value("float", 32), "float64_t": Value("float", 64),
    "_Float16": Value("float", 16), "__fp16": Value("float", 16), "float16_t": Value("float", 16),
}  # fmt: skip
_NAMED: Final = {**_SIZED, **_LEAST, **_WORDS, **_FLOATS, "bool": Value("bool", 8), "_Bool": Value("bool", 8)}
_OWN: Final = "types"  # where the names stand that every prototype may use
_KEYWORDS: Final = frozenset({"float", "double", "_Bool"})
_PREAMBLE: Final = " ".join(f"typedef int {name};" for name in _NAMED if name not in _KEYWORDS)
# What C++ and the compilers add to a declaration, and says nothing of how a function is called.
_ATTRIBUTE: Final = re.compile(r"__attribute__\s*\(\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)\)|__declspec\s*\([^()]*\)")
_NOISE: Final = re.compile(r'extern\s+"C"|\b(?:__extension__|__inline__|__inline|static\s+inline|inline)\b')
_COMPLEX: Final = re.compile(r"\bcomplex(?=\s+(?:float|double)\b)|(?<=\bfloat )complex\b|(?<=\bdouble )complex\b")
_COMMENT: Final = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_MESSAGE: Final = re.compile(r"^.*?:(\d+):(\d+): (.*)$", re.DOTALL)


@dataclass(frozen=True)
class Place:
    """Where a prototype stands: the file and the line of its first line, as far as they are known."""

    filename: str = "<prototype>"
    line: int = 1


def parse_prototype(text: str, place: Place = Place()) -> Function:
    """Read a declaration such as ``"void saxpy(int n, float a, const float *x, float *y)"``.

    ``typedef`` declarations may stand before it.

    Parameters
    ----------
    text : str
    place : Place, optional
        Where it stands, for messages.

    Returns
    -------
    Function

    Raises
    ------
    KernelError
        If it is no declaration of one function, or has a type that cannot be passed from a test.
    """
    return _Reader(text, place).read()


class _Reader:
    """One prototype, and the typedefs before it."""

    def __init__(self, text: str, place: Place) -> None:
        self._text = text
        self._place = place
        self._typedefs: dict[str, Any] = {}

    def read(self) -> Function:
        declarations = []
        for node in self._parsed().ext:
            kind = type(node).__name__
            if kind == "Typedef":
                if node.coord.file != _OWN:
                    self._typedefs[node.name] = node.type
            elif kind == "Decl" and type(node.type).__name__ == "FuncDecl":
                declarations.append(node)
            elif not (kind == "Decl" and type(node.type).__name__ in ("Struct", "Union", "Enum")):
                self._refuse(node, "this is no declaration of a function", "Write its prototype, without a body.")
        if len(declarations) != 1:
            self._refuse(
                declarations[1] if declarations else None,
                f"a prototype declares one function; this declares {len(declarations) or 'none'}",
                "Give the kernel's own declaration, such as 'void saxpy(int n, float a, const float *x, float *y)'.",
            )
        return self._function(declarations[0])

    def _parsed(self) -> Any:
        from pycparser import c_parser

        text = self._plain()
        try:
            return c_parser.CParser().parse(f'{_PREAMBLE}\n# 1 "prototype"\n{text}', _OWN)
        except c_parser.ParseError as error:
            located = _MESSAGE.match(str(error))
            line, column, message = (int(located[1]), int(located[2]), located[3]) if located else (1, 1, str(error))
            unknown = self._unknown_type(text)
            if unknown:
                line, column, name = unknown
                self._fail(
                    line, column, len(name), f"'{name}' is a type that the prototype does not declare",
                    f"Write a typedef before the function, as in 'typedef unsigned int {name}; ...', or the type that "
                    "it stands for.",
                )  # fmt: skip
            self._fail(
                line, column, 1, f"this is no C declaration ({message})",
                "Write a prototype such as 'void saxpy(int n, float a, const float *x, float *y)'.",
            )  # fmt: skip

    def _plain(self) -> str:
        """Return the text with what pycparser does not know replaced by blanks, so that places stay the same."""
        text = self._text
        for pattern in (_COMMENT, _ATTRIBUTE, _NOISE):
            text = pattern.sub(_blanks, text)
        text = re.sub(r"\b__(restrict|const|volatile)(?:__)?\b", lambda m: m[1].ljust(len(m[0])), text)
        # What <complex.h> makes of it; what follows on its line is then one column further in messages.
        text = _COMPLEX.sub("_Complex", text)
        stripped = text.rstrip()
        return text if stripped.endswith((";", "}")) else f"{stripped};"

    def _unknown_type(self, text: str) -> tuple[int, int, str] | None:
        """Find a name that stands where a type should, which C's grammar makes an error at some other place."""
        known = {*_NAMED, *re.findall(r"typedef[^;]*?(\w+)\s*;", text), *_C_WORDS}
        for match in re.finditer(r"(?:^|[(,;])\s*(?:const\s+)?([A-Za-z_]\w*)\s*(?:const\s*)?[\s*]+[A-Za-z_]", text):
            if match[1] not in known:
                line = text.count("\n", 0, match.start(1)) + 1
                return line, match.start(1) - text.rfind("\n", 0, match.start(1)), match[1]
        return None

    def _function(self, node: Any) -> Function:
        function = node.type
        result_type = self._resolved(function.type)
        # A pointer that comes back, as that of memcpy, says nothing to another machine.
        is_nothing = self._is_void(result_type) or type(result_type).__name__ == "PtrDecl"
        returned = None if is_nothing else self._result(node, result_type)
        arguments: list[Argument] = []
        for index, param in enumerate(function.args.params if function.args else []):
            argument = self._argument(index, param)
            if argument is not None:
                arguments.append(argument)
        names = [argument.name for argument in arguments]
        for name in names:
            if names.count(name) > 1:
                self._refuse(node, f"two parameters are called '{name}'", "Give each a name of its own.")
        return Function(str(node.name), tuple(arguments), returned)

    def _result(self, node: Any, kind: Any) -> Value:
        value = self._value(node, kind, "the function returns")
        if value.bits == 16 and value.kind == "float":
            self._refuse(node, "half precision cannot be returned by value", "Return a float.")
        return value

    def _argument(self, index: int, node: Any) -> Argument | None:
        kind = type(node).__name__
        if kind == "EllipsisParam":
            self._refuse(node, "a kernel takes a fixed number of arguments, no '...'", "Wrap it in a function of C.")
        if kind == "ID":
            self._refuse(node, f"the parameter '{node.name}' has no type", "Write the type before the name.")
        resolved = self._resolved(node.type)
        if self._is_void(resolved):
            return None
        name = str(node.name or f"arg{index}")
        if type(resolved).__name__ in ("PtrDecl", "ArrayDecl"):
            return Argument(name, self._pointer(node, resolved))
        value = self._value(node, resolved, f"'{name}' is")
        if value.bits == 16 and value.kind == "float":
            self._refuse(
                node, f"'{name}' is half precision by value", "Take a float; arrays of half precision are f16."
            )
        return Argument(name, value)

    def _pointer(self, node: Any, kind: Any) -> Pointer:
        inner = self._resolved(kind.type)
        while type(inner).__name__ == "ArrayDecl":  # float x[n][m] is one block of memory
            inner = self._resolved(inner.type)
        shape = type(inner).__name__
        if shape == "PtrDecl":
            self._refuse(
                node, f"'{node.name}' is a pointer to pointers, which cannot come from another machine",
                "Take one array with all elements, and sizes or offsets.",
            )  # fmt: skip
        if shape == "FuncDecl":
            self._refuse(
                node, f"'{node.name}' is a pointer to a function, which a test cannot pass",
                "Take a number that chooses the function in C.",
            )  # fmt: skip
        is_const = "const" in inner.quals
        if self._is_bytes(inner):
            return Pointer(None, is_const)
        value = self._value(node, inner, f"'{node.name}' points to")
        if value.kind == "char":
            return Pointer(None, is_const)  # bytes: a string, or memory of any kind
        if value.bits == 0:
            return Pointer(value.bound, is_const, word=value)
        if value.kind == "float":
            return Pointer({16: f16, 32: f32, 64: f64}[value.bits], is_const)
        return Pointer(value.bound, is_const)

    def _is_bytes(self, kind: Any) -> bool:
        """Tell whether memory of a type is taken as it is: structures, ``void``, and complex numbers."""
        if type(kind.type).__name__ in ("Struct", "Union") or self._is_void(kind):
            return True
        return sorted(getattr(kind.type, "names", ())) in (["_Complex", "float"], ["_Complex", "double"])

    def _value(self, node: Any, kind: Any, what: str) -> Value:
        shape = type(kind).__name__
        if shape != "TypeDecl":
            self._refuse(node, f"{what} no scalar", "Take and return memory by pointers to parameters.")
        inner = type(kind.type).__name__
        if inner == "Enum":
            return Value("int", 32)
        if inner != "IdentifierType":
            self._refuse(
                node, f"{what} a {inner.lower()} by value, which a test cannot pass",
                f"Take a pointer to it: any array is passed as the bytes of a {inner.lower()}.",
            )  # fmt: skip
        names = list(kind.type.names)
        found = _scalar(names)
        if found is None:
            written = " ".join(names)
            self._refuse(
                node, f"{what} {written}, which no type of NumPy is on every target",
                "Use the types of <stdint.h>, float or double.",
            )  # fmt: skip
        return found

    def _resolved(self, kind: Any) -> Any:
        """Return a type with the prototype's own typedefs replaced by what they stand for."""
        seen: set[str] = set()
        quals: set[str] = set()
        while type(kind).__name__ == "TypeDecl" and type(kind.type).__name__ == "IdentifierType":
            quals.update(kind.quals)
            name = kind.type.names[0]
            if name not in self._typedefs or name in seen:
                break
            seen.add(name)
            kind = self._typedefs[name]
        if type(kind).__name__ == "TypeDecl" and not quals <= set(kind.quals):
            kind = copy.copy(kind)  # the typedef's own type stays what it is
            kind.quals = [*kind.quals, *sorted(quals)]
        return kind

    @staticmethod
    def _is_void(kind: Any) -> bool:
        return type(kind).__name__ == "TypeDecl" and getattr(kind.type, "names", None) == ["void"]

    def _refuse(self, node: Any, message: str, advice: str) -> NoReturn:
        named = node
        while getattr(named, "type", None) is not None and type(named).__name__ != "TypeDecl":
            named = named.type  # of "float **x" the name, not the first star
        name = getattr(node, "name", None)
        coord = getattr(named if getattr(named, "declname", None) == name else node, "coord", None)
        line = getattr(coord, "line", 1) or 1
        column = getattr(coord, "column", 1) or 1
        width = len(name) if isinstance(name, str) else 1
        self._fail(line, column, width, message, advice)

    def _fail(self, line: int, column: int, width: int, message: str, advice: str) -> NoReturn:
        lines = self._text.splitlines() or [""]
        shown = lines[line - 1] if line <= len(lines) else ""
        raise KernelError(
            f"the prototype: {message}",
            filename=self._place.filename,
            line=self._place.line + line - 1,
            column=column,
            advice=advice,
            source_line=shown,
            width=width,
        )


_C_WORDS: Final = frozenset(
    [
        "auto",
        "char",
        "const",
        "double",
        "enum",
        "extern",
        "float",
        "int",
        "long",
        "register",
        "restrict",
        "return",
        "short",
        "signed",
        "static",
        "struct",
        "typedef",
        "union",
        "unsigned",
        "void",
        "volatile",
        "_Bool",
        "_Complex",
    ]
)
_INTEGER_WORDS: Final = frozenset(["char", "short", "int", "long", "signed", "unsigned"])


def _scalar(names: list[str]) -> Value | None:
    """Return the scalar that a type's words name, in any order; None for one that cannot be passed."""
    if len(names) == 1 and names[0] in _NAMED:
        return _NAMED[names[0]]
    if not names or not set(names) <= _INTEGER_WORDS:
        return None
    unsigned = "unsigned" in names
    if "char" in names:
        plain = not unsigned and "signed" not in names
        return Value("char" if plain else "uint" if unsigned else "int", 8)
    longs = names.count("long")
    bits = 16 if "short" in names else (32, 0, 64)[min(longs, 2)]
    return Value("uint" if unsigned else "int", bits)


def _blanks(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match[0])
