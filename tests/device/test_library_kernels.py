"""Kernels in prebuilt libraries on a device: shared, static, and object files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pytest_xdevice import c_kernel
from pytest_xdevice import CompileError
from pytest_xdevice import library_kernel
from pytest_xdevice.remote import Device
from pytest_xdevice.target import Target
from tests.sources.native import object_of
from tests.sources.native import shared_library
from tests.sources.native import static_library

pytestmark = pytest.mark.cpu

TWICE = "void apply(int n, float *x) { for (int i = 0; i < n; i++) x[i] *= 2; }\n"
SQUARE = "void apply(int n, float *x) { for (int i = 0; i < n; i++) x[i] *= x[i]; }\n"
PROTOTYPE = "void apply(int n, float *x)"
X = np.float32([1, 2, 3])


def target_of(xdevice: Device) -> Target:
    assert isinstance(xdevice.target, Target)
    return xdevice.target


def test_a_shared_library(xdevice: Device, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    target = target_of(xdevice)
    path = shared_library(tmp_path / "libapply.so", target, [object_of(TWICE, target, tmp_path, pytestconfig)])
    kernel = library_kernel(path, PROTOTYPE)
    np.testing.assert_array_equal(xdevice.run(kernel, 3, X), [2, 4, 6])
    function = xdevice.compile(kernel)
    x = xdevice.array(X)
    function(3, x)
    function(3, x)
    np.testing.assert_array_equal(x.numpy(), [4, 8, 12])
    assert function.time(3, x, number=2, repeat=3).min > 0


def test_libraries_of_one_name_do_not_meet(xdevice: Device, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    target = target_of(xdevice)
    kernels = []
    for text in (TWICE, SQUARE):
        folder = tmp_path / str(len(kernels))
        folder.mkdir()
        obj = object_of(text, target, folder, pytestconfig)
        path = shared_library(folder / "libapply.so", target, [obj], "--soname=libapply.so")
        kernels.append(library_kernel(path, PROTOTYPE))
    twice, square = kernels
    np.testing.assert_array_equal(xdevice.run(twice, 3, X), [2, 4, 6])
    np.testing.assert_array_equal(xdevice.run(square, 3, X), [1, 4, 9])
    np.testing.assert_array_equal(xdevice.run(twice, 3, X), [2, 4, 6])


def test_a_static_library_brings_what_is_called(xdevice: Device, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    target = target_of(xdevice)
    objects = [
        object_of("float f(float);\nvoid apply(int n, float *x) { x[0] = f(x[0]) + n; }", target, tmp_path,
                  pytestconfig, name="apply"),
        object_of("float f(float x) { return 10 * x; }", target, tmp_path, pytestconfig, name="f"),
        object_of("int elsewhere(void);\nint unused(void) { return elsewhere(); }", target, tmp_path, pytestconfig,
                  name="unused"),
    ]  # fmt: skip
    path = static_library(tmp_path / "libapply.a", objects)
    assert xdevice.run(library_kernel(path, PROTOTYPE), 1, np.float32([4]))[0] == 41
    through_c = c_kernel(
        "float f(float);\nvoid g(float *x) { x[0] = f(f(x[0])); }", "void g(float *x)", objects=[path]
    )  # fmt: skip
    assert xdevice.run(through_c, np.float32([4]))[0] == 400


def test_an_object_file(xdevice: Device, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    path = object_of(SQUARE, target_of(xdevice), tmp_path, pytestconfig)
    np.testing.assert_array_equal(xdevice.run(library_kernel(path, PROTOTYPE), 3, X), [1, 4, 9])


def test_a_library_that_the_device_lacks_is_named(
    xdevice: Device, tmp_path: Path, pytestconfig: pytest.Config
) -> None:  # fmt: skip
    target = target_of(xdevice)
    other = object_of("int other(void) { return 1; }", target, tmp_path, pytestconfig, name="other")
    needed = shared_library(tmp_path / "libnowhere.so.3", target, [other], "--soname=libnowhere.so.3")
    obj = object_of("int other(void);\nint apply(void) { return other(); }", target, tmp_path, pytestconfig)
    path = shared_library(tmp_path / "libapply.so", target, [obj], str(needed))
    with pytest.raises(CompileError, match=r"cannot load libapply.so: .*libnowhere.so.3.*install that library"):
        xdevice.run(library_kernel(path, "int apply(void)"))


def test_a_saved_kernel_takes_its_library_along(
    xdevice: Device, tmp_path: Path, pytestconfig: pytest.Config
) -> None:  # fmt: skip
    target = target_of(xdevice)
    path = shared_library(tmp_path / "libapply.so", target, [object_of(TWICE, target, tmp_path, pytestconfig)])
    folder = tmp_path / "saved"
    folder.mkdir()
    saved = xdevice.compile(library_kernel(path, PROTOTYPE)).artifact.save(folder / "kernel.so")
    assert sorted(each.name for each in folder.iterdir()) == ["kernel.so", "libapply.so"]
    x = xdevice.array(X)
    xdevice.load(saved)(3, x)
    np.testing.assert_array_equal(x.numpy(), [2, 4, 6])
