"""Each line of the table in docs/reference/semantics.md, as a kernel: interpreted, on the CPU and through OpenCL."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any
from typing import NamedTuple

import numpy as np
import pytest

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "semantics.md"
TYPES = {"i": "i32", "j": "i32", "k": "i64", "u": "u8", "x": "f32", "y": "f32", "d": "f64"}


class Row(NamedTuple):
    """A line of the table."""

    expression: str
    where: dict[str, float]
    gives: float
    type: str

    @property
    def source(self) -> str:
        """Return a module with a kernel that computes the expression."""
        parameters = ", ".join(f"{name}: {TYPES[name]}" for name in self.where)
        return (
            "from pytest_xdevice import *\n\n\n@kernel\n"
            f"def of_the_table({parameters}, result: Out[{self.type}, 1]):\n    result[0] = {self.expression}\n"
        )


def rows() -> list[Row]:
    """Return the lines of the table."""
    found = []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("| `"):
            expression, where, gives, kind, _ = (cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1])
            values = (part.split(" = ") for part in where.split(", "))
            # `float` reads nan and inf as well; a truth is a number.
            value = float({"True": "1", "False": "0"}.get(gives, gives))
            found.append(Row(expression.strip("`"), {name: float(text) for name, text in values}, value, kind))
    return found


@pytest.fixture
def compiled(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Return the kernel of a line; its source is read from a file, as every kernel's is."""
    path = tmp_path / "of_the_table.py"
    path.write_text(request.param.source, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("of_the_table", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.of_the_table


@pytest.mark.cpu
@pytest.mark.opencl
@pytest.mark.parametrize(("row", "compiled"), [(row, row) for row in rows()], indirect=["compiled"], ids=str)
def test_a_line_of_the_table(xdevice: Any, row: Row, compiled: Any) -> None:
    arguments = [int(value) if TYPES[name][0] in "iu" else value for name, value in row.where.items()]
    dtype = {"bool_": np.bool_, "f32": np.float32, "f64": np.float64}.get(
        row.type, row.type.replace("i", "int").replace("u", "uint")
    )
    expected = np.array([row.gives]).astype(dtype)
    for result in (compiled.python(*arguments), xdevice.run(compiled, *arguments)):
        np.testing.assert_array_equal(result, expected)
        assert np.array_equal(np.signbit(result), np.signbit(expected)) or np.isnan(row.gives)
