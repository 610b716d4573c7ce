"""What the package exports, how light it is, and that a device's old Python can import it."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import pytest_xdevice
from pytest_xdevice import errors

REPOSITORY = Path(__file__).resolve().parents[1]


def run(code: str, python: str = sys.executable) -> str:
    """Return what a fresh interpreter prints for `code`, with this tree on its path."""
    result = subprocess.run(
        [python, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_every_exported_name_is_there() -> None:
    for name in pytest_xdevice.__all__:
        assert getattr(pytest_xdevice, name) is not None, name
    assert set(pytest_xdevice.__all__) <= set(dir(pytest_xdevice))


def test_every_error_is_exported() -> None:
    assert {name for name, value in vars(errors).items() if isinstance(value, type)} <= set(pytest_xdevice.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'pytest_xdevice' has no attribute 'f128'"):
        _ = pytest_xdevice.f128


def test_types_and_kernels_need_nothing_heavy() -> None:
    code = (
        "import sys; from pytest_xdevice import In, KernelError, f32, kernel, parallel, sqrt;"
        "print({'llvmlite', 'pyopencl', 'execnet'} & set(sys.modules))"
    )
    assert run(code) == "set()"


@pytest.mark.parametrize(
    "code",
    [
        "from pytest_xdevice import kernel",
        "from pytest_xdevice import f32, kernel",
        "import pytest_xdevice.kernel.types as types; from pytest_xdevice import kernel",
        "from pytest_xdevice.kernel.types import f32; import pytest_xdevice; kernel = pytest_xdevice.kernel",
    ],
)
def test_kernel_is_the_decorator_in_whatever_order_things_are_imported(code: str) -> None:
    assert run(f"{code}; print(callable(kernel))") == "True"


def test_the_oldest_python_of_a_device_imports_the_package(oldest_python: str) -> None:
    code = "from pytest_xdevice import DeviceLost; print(DeviceLost.__name__)"
    assert run(code, oldest_python) == "DeviceLost"


def test_the_version_is_that_of_the_installed_distribution() -> None:
    assert pytest_xdevice.__version__ == version("pytest-xdevice")
