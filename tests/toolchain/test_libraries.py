"""DT_NEEDED and symbol versions: against readelf, against real C libraries, and by loading on emulated boards."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_xdevice.compile import Compiler
from pytest_xdevice.errors import CompileError
from pytest_xdevice.target import Target
from pytest_xdevice.toolchain import elf
from pytest_xdevice.toolchain import llvm
from pytest_xdevice.toolchain.cache import Cache
from pytest_xdevice.toolchain.find_linkers import find_linkers
from pytest_xdevice.toolchain.libraries import libraries_for
from pytest_xdevice.toolchain.libraries import needed_by
from pytest_xdevice.toolchain.linker import DriverLinker
from pytest_xdevice.toolchain.linker import Linker
from pytest_xdevice.toolchain.linker import StubLinker
from tests.boards.board import Board
from tests.harness.requirement import unavailable
from tests.toolchain.every_symbol import every_symbol_text
from tests.toolchain.text_kernel import CALLS
from tests.toolchain.text_kernel import SCALE
from tests.toolchain.text_kernel import TextKernel

GLIBC = ("libm.so.6", "libc.so.6")
NEEDS: dict[str, tuple[set[str], dict[str, str]]] = {
    "x86_64-linux-gnu": (
        {*GLIBC},
        {"expf": "GLIBC_2.27", "sinf": "GLIBC_2.2.5", "pow": "GLIBC_2.2.5", "clock_gettime": "GLIBC_2.17"},
    ),
    "aarch64-linux-gnu": (
        {*GLIBC},
        {"expf": "GLIBC_2.27", "sinf": "GLIBC_2.17", "pow": "GLIBC_2.17", "clock_gettime": "GLIBC_2.17"},
    ),
    "riscv64-linux-gnu": ({*GLIBC}, dict.fromkeys(("expf", "sinf", "pow", "clock_gettime"), "GLIBC_2.27")),
    "armv7l-linux-gnueabihf": (
        {*GLIBC, "libgcc_s.so.1"},
        {
            "expf": "GLIBC_2.27",
            "sinf": "GLIBC_2.4",
            "pow": "GLIBC_2.4",
            "clock_gettime": "GLIBC_2.17",
            "__aeabi_ldivmod": "GCC_3.5",
            "__aeabi_l2f": "GCC_3.5",
        },
    ),
    "x86_64-linux-musl": (
        {"libc.musl-x86_64.so.1"},
        dict.fromkeys(("expf", "sinf", "pow", "clock_gettime"), ""),
    ),
    "aarch64-linux-android": (
        {"libm.so", "libc.so"},
        dict.fromkeys(("expf", "sinf", "pow", "clock_gettime"), ""),
    ),
}  # with glibc 2.28, which is assumed where nothing is known: pow became quicker in 2.29


@pytest.mark.parametrize("triple", NEEDS)
def test_a_library_names_what_it_needs_and_which_versions(compiler: Compiler, triple: str) -> None:
    library = elf.ElfFile(compiler.build(TextKernel(SCALE + CALLS), triple).object)
    needed, versions = NEEDS[triple]
    assert set(library.needed) == needed
    assert {symbol.name: symbol.version for symbol in library.symbols if not symbol.defined} == versions


def test_a_kernel_that_calls_nothing_needs_nothing(compiler: Compiler) -> None:
    assert elf.ElfFile(compiler.build(TextKernel(), "x86_64-linux-gnu").object).needed == ()


@pytest.mark.parametrize(
    ("glibc", "expf", "pow_"),
    [
        ((2, 17), "GLIBC_2.2.5", "GLIBC_2.2.5"),
        ((2, 26), "GLIBC_2.2.5", "GLIBC_2.2.5"),
        ((2, 27), "GLIBC_2.27", "GLIBC_2.2.5"),
        ((2, 29), "GLIBC_2.27", "GLIBC_2.29"),
        ((2, 41), "GLIBC_2.27", "GLIBC_2.29"),
    ],
)
def test_the_quicker_functions_are_used_where_the_device_has_them(
    compiler: Compiler, glibc: tuple[int, int], expf: str, pow_: str
) -> None:
    target = Target("x86_64-unknown-linux-gnu", glibc=glibc)
    library = elf.ElfFile(compiler.build(TextKernel(SCALE + CALLS), target).object)
    versions = {symbol.name: symbol.version for symbol in library.symbols if not symbol.defined}
    assert (versions["expf"], versions["pow"]) == (expf, pow_)


def test_riscv_has_one_version_of_each(compiler: Compiler) -> None:
    target = Target.parse("riscv64-linux-gnu")
    library = elf.ElfFile(compiler.build(TextKernel(SCALE + CALLS), replace(target, glibc=(2, 43))).object)
    assert {symbol.version for symbol in library.symbols if not symbol.defined} == {"GLIBC_2.27"}


def test_readelf_reads_the_same(compiler: Compiler, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if shutil.which("readelf") is None:
        unavailable(request.config, "readelf is not installed: install binutils")
    for triple, (needed, versions) in NEEDS.items():
        path = compiler.build(TextKernel(SCALE + CALLS), triple).save(tmp_path / "calls.so")
        read = subprocess.run(["readelf", "-dW", "--dyn-syms", path], capture_output=True, text=True, check=True).stdout
        for name in needed:
            assert f"Shared library: [{name}]" in read
        for name, version in versions.items():
            assert f" UND {name}{'@' if version else ''}{version}" in read


def test_the_symbols_exist_in_the_libraries_of_this_machine(request: pytest.FixtureRequest) -> None:
    host = Target.host()
    if host.libc != "gnu" or host.glibc is None:
        unavailable(request.config, "this machine has another C library than glibc")
    for library in libraries_for(host):
        mapped = ctypes.CDLL(library.soname)
        for symbol, version in library.symbols.items():
            assert _versioned(mapped, symbol, version), f"{library.soname} has no {symbol}@{version}"


def _versioned(library: ctypes.CDLL, symbol: str, version: str) -> int | None:
    lookup = ctypes.CDLL(None).dlvsym
    lookup.restype = ctypes.c_void_p
    lookup.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p]
    address: int | None = lookup(library._handle, symbol.encode(), version.encode())
    return address


def test_a_library_that_refers_to_every_symbol_loads_here(compiler: Compiler, tmp_path: Path) -> None:
    host = Target.host()
    path = compiler.build(TextKernel(every_symbol_text(host)), host).save(tmp_path / "every.so")
    assert {"libm.so.6", "libc.so.6"} <= set(elf.ElfFile(path.read_bytes()).needed)
    _load_apart(path)


def test_a_version_that_does_not_exist_would_be_noticed(tmp_path: Path, compiler: Compiler) -> None:
    newer = Target(Target.host().triple, glibc=(2, 99))
    path = compiler.build(TextKernel(every_symbol_text(newer)), newer).save(tmp_path / "every.so")
    broken = path.read_bytes().replace(b"GLIBC_2.29\0", b"GLIBC_9.29\0")
    path.write_bytes(broken)
    with pytest.raises(subprocess.CalledProcessError):
        _load_apart(path)


def _load_apart(path: Path) -> None:
    """Load a library in a process of its own, with every symbol bound at once."""
    program = "import ctypes, sys; ctypes.CDLL(sys.argv[1])"
    subprocess.run([sys.executable, "-c", program, str(path)], check=True, capture_output=True)


@pytest.mark.board
@pytest.mark.parametrize(
    ("fixture", "triple"), [("board_arm64", "aarch64-linux-gnu"), ("board_armhf", "armv7l-linux-gnueabihf")]
)
def test_a_library_that_refers_to_every_symbol_loads_on_a_board(
    request: pytest.FixtureRequest, compiler: Compiler, fixture: str, triple: str
) -> None:
    board: Board = request.getfixturevalue(fixture)
    version = board.run("python3", "-c", "import os; print(os.confstr('CS_GNU_LIBC_VERSION').split()[1])")
    major, minor = (int(part) for part in version.strip().split(".")[:2])
    for glibc in ((2, 17), (major, minor)):
        target = Target(Target.parse(triple).triple, features=Target.parse(triple).features, glibc=glibc)
        board.write("/tmp/every.so", compiler.build(TextKernel(every_symbol_text(target)), target).object)
        said = board.run("python3", "-c", "import ctypes; ctypes.CDLL('/tmp/every.so'); print('loaded')")
        assert said.strip() == "loaded"


def _linkers(cache: Path) -> list[Linker]:
    return [linker for linker in find_linkers(Cache(cache), llvm.shared()) if linker.serves(Target.host())]


def test_every_linker_of_this_host_makes_a_library_that_loads(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    linkers = _linkers(tmp_path)
    if not linkers:
        unavailable(request.config, "no linker for this machine: install lld, gcc or the toolchain extra")
    for number, linker in enumerate(linkers):
        compiler = Compiler(tmp_path, linkers=(linker,))
        artifact = compiler.build(TextKernel(SCALE + CALLS))
        path = artifact.save(tmp_path / f"calls{number}.so")
        assert set(elf.ElfFile(artifact.object).needed) == set(GLIBC), linker.identity
        _load_apart(path)


def test_the_linkers_that_use_stubs_make_libraries_that_need_the_same(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    stubs = [found for found in find_linkers(Cache(tmp_path), llvm.shared()) if isinstance(found, StubLinker)]
    if len(stubs) < 2:
        unavailable(request.config, "one linker alone is installed: install binutils, lld and the toolchain extra")
    for triple, (needed, versions) in NEEDS.items():
        for linker in stubs:
            if not linker.serves(Target.parse(triple)):
                continue
            built = Compiler(tmp_path, linkers=(linker,)).build(TextKernel(SCALE + CALLS), triple)
            library = elf.ElfFile(built.object)
            assert set(library.needed) == needed
            assert {s.name: s.version for s in library.symbols if not s.defined} == versions


def test_gnu_ld_is_known_by_what_it_says_and_serves_what_it_lists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, said in {
        "ld": "LLD 18.1.8 (compatible with GNU linkers)",
        "ld.bfd": "GNU ld (GNU Binutils) 2.40\n  Supported emulations:\n   elf_x86_64\n   elf_i386",
        "aarch64-linux-gnu-ld": "GNU ld (GNU Binutils) 2.40\n  Supported emulations:\n   aarch64linux",
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\necho '{said}'\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = [linker for linker in find_linkers(Cache(tmp_path), llvm.shared()) if isinstance(linker, StubLinker)]
    here = [linker for linker in found if linker.command[0].startswith(str(tmp_path))]
    assert [Path(linker.command[0]).name for linker in here] == ["ld.bfd", "aarch64-linux-gnu-ld"]
    assert found[:2] == here
    assert here[0].serves(Target.parse("x86_64-linux-gnu"))
    assert not here[0].serves(Target.parse("aarch64-linux-gnu"))
    assert here[1].serves(Target.parse("aarch64-linux-gnu"))


def test_a_compiler_driver_names_the_symbol_that_it_lacks(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    drivers = [linker for linker in _linkers(tmp_path) if isinstance(linker, DriverLinker)]
    if not drivers:
        unavailable(request.config, "no C compiler driver is installed: install gcc")
    compiler = Compiler(tmp_path, linkers=(drivers[-1],))
    with pytest.raises(CompileError, match=r"(?s)kernel 'scale' for .*frobnicate"):
        compiler.build(TextKernel(SCALE + CALLS.replace("@expf", "@frobnicate")))


def test_this_hosts_driver_does_not_serve_a_device_with_an_older_glibc() -> None:
    driver = DriverLinker(("cc",), "x86_64-linux-gnu", (2, 36))
    assert driver.serves(Target("x86_64-unknown-linux-gnu"))
    assert driver.serves(Target("x86_64-unknown-linux-gnu", glibc=(2, 36)))
    assert not driver.serves(Target("x86_64-unknown-linux-gnu", glibc=(2, 31)))
    assert not driver.serves(Target("aarch64-unknown-linux-gnu"))


def test_symbols_that_no_library_has_are_told_apart() -> None:
    libraries, unknown = needed_by(["sin", "frob", "memcpy"], Target.parse("aarch64-linux-gnu"))
    assert [library.soname for library in libraries] == ["libm.so.6", "libc.so.6"]
    assert unknown == ("frob",)


def test_a_linker_that_cannot_be_started_is_a_compile_error(tmp_path: Path) -> None:
    emulations = frozenset({"aarch64linux"})
    broken = StubLinker((str(tmp_path / "no-linker"),), emulations, Cache(tmp_path), llvm.shared())
    with pytest.raises(CompileError, match=r"cannot run the linker .*no-linker"):
        Compiler(tmp_path, linkers=(broken,)).build(TextKernel(), "aarch64-linux-gnu")
    assert not os.listdir(tmp_path)


def test_elf_is_read_as_the_platform_has_it() -> None:
    executable = elf.ElfFile(Path(sys.executable).read_bytes())
    assert executable.bits == (64 if sys.maxsize > 2**32 else 32)
    assert executable.machine == {"x86_64": elf.EM_X86_64, "aarch64": elf.EM_AARCH64}[platform.machine()]
    with pytest.raises(elf.ElfError, match="not an ELF file"):
        elf.ElfFile(b"MZ" + bytes(100))
    with pytest.raises(elf.ElfError, match="big-endian"):
        elf.ElfFile(b"\x7fELF\x02\x02" + bytes(100))
