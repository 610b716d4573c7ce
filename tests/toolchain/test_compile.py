from __future__ import annotations

import ctypes
import gc
import multiprocessing
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest

from pytest_xdevice import dim
from pytest_xdevice import f32
from pytest_xdevice import i64
from pytest_xdevice import In
from pytest_xdevice import InOut
from pytest_xdevice import kernel
from pytest_xdevice import Out
from pytest_xdevice import parallel
from pytest_xdevice.artifact import Artifact
from pytest_xdevice.compile import build
from pytest_xdevice.compile import Compiler
from pytest_xdevice.compile import use_cache
from pytest_xdevice.errors import CompileError
from pytest_xdevice.errors import TargetError
from pytest_xdevice.errors import XDeviceError
from pytest_xdevice.kernel.signature import Signature
from pytest_xdevice.target import Target
from pytest_xdevice.toolchain import elf
from pytest_xdevice.toolchain import llvm
from pytest_xdevice.toolchain.cache import Cache
from tests.toolchain.text_kernel import CALLS
from tests.toolchain.text_kernel import SCALE
from tests.toolchain.text_kernel import TextKernel

n = dim("n")


@kernel
def add_one(a: In[f32, n], b: Out[f32, n]):  # type: ignore[no-untyped-def, valid-type]
    for i in parallel(n):
        b[i] = a[i] + 1.0  # type: ignore[index]


@kernel
def count_calls(calls: InOut[i64, 1]) -> None:
    calls[0] += 1  # type: ignore[index]


MACHINES = {
    "x86_64-linux-gnu": (elf.EM_X86_64, 64, 0),
    "x86_64-linux-musl": (elf.EM_X86_64, 64, 0),
    "i686-linux-gnu": (elf.EM_386, 32, 0),
    "aarch64-linux-gnu": (elf.EM_AARCH64, 64, 0),
    "aarch64-linux-android": (elf.EM_AARCH64, 64, 0),
    "armv7l-linux-gnueabihf": (elf.EM_ARM, 32, 0x5000400),  # EABI 5, hard float
    "armv6-linux-gnueabihf": (elf.EM_ARM, 32, 0x5000400),
    "armv8l-linux-gnueabihf": (elf.EM_ARM, 32, 0x5000400),
    "armv7l-linux-gnueabi": (elf.EM_ARM, 32, 0x5000200),  # EABI 5, soft float
    "riscv64-linux-gnu": (elf.EM_RISCV, 64, 0x5),  # compressed instructions, double-precision ABI: lp64d
}


@pytest.mark.parametrize("triple", MACHINES)
def test_each_target_gets_a_shared_library_of_its_own_kind(compiler: Compiler, triple: str) -> None:
    artifact = compiler.build(add_one, triple)
    library = elf.ElfFile(artifact.object)
    assert artifact.is_linked
    assert (library.machine, library.bits, library.flags) == MACHINES[triple]
    assert {symbol.name for symbol in library.symbols if symbol.defined} == {"xd_add_one"}


@pytest.mark.parametrize("triple", MACHINES)
def test_each_target_gets_a_timing_loop_of_its_own_kind(compiler: Compiler, triple: str) -> None:
    artifact = compiler.timing_loop(Target.parse(triple))
    library = elf.ElfFile(artifact.object)
    assert artifact.is_linked
    assert artifact.entry == "xd_time"
    assert (library.machine, library.bits, library.flags) == MACHINES[triple]
    assert {symbol.name for symbol in library.symbols if symbol.defined} == {"xd_time"}
    assert library.undefined == ("clock_gettime",)


def test_a_library_runs_in_this_process(compiler: Compiler, tmp_path: Path) -> None:
    library = ctypes.CDLL(str(compiler.build(add_one).save(tmp_path / "add_one.so")))
    a = np.arange(100, dtype=np.float32)
    b = np.zeros_like(a)
    count = ctypes.c_int64(100)
    args = (ctypes.c_void_p * 3)(a.ctypes.data, b.ctypes.data, ctypes.addressof(count))
    assert library.xd_add_one(args) == 0
    np.testing.assert_array_equal(b, a + 1)


@pytest.mark.parametrize("number", [1000, 1, 0])
def test_a_kernel_is_called_number_times_and_timed(compiler: Compiler, tmp_path: Path, number: int) -> None:
    counts = ctypes.CDLL(str(compiler.build(count_calls).save(tmp_path / "count.so"))).xd_count_calls
    loop = ctypes.CDLL(str(compiler.timing_loop(Target.host()).save(tmp_path / "loop.so"))).xd_time
    loop.restype = ctypes.c_int64
    loop.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
    calls = np.zeros(1, np.int64)
    args = (ctypes.c_void_p * 1)(calls.ctypes.data)
    assert 0 <= loop(ctypes.cast(counts, ctypes.c_void_p), args, number) < 10**9
    assert calls[0] == number


def test_the_cpu_decides_about_the_instructions(compiler: Compiler) -> None:
    wide = compiler.build(TextKernel(), "llvm -mtriple=x86_64-linux-gnu -mcpu=haswell")
    narrow = compiler.build(TextKernel(), "llvm -mtriple=x86_64-linux-gnu -mcpu=nehalem")
    assert "%ymm" in wide.assembly
    assert "%ymm" not in narrow.assembly
    assert "%xmm" in narrow.assembly
    assert "mulps" in narrow.assembly, "a loop of independent iterations is vectorised"


def test_an_artifact_shows_what_was_made(compiler: Compiler) -> None:
    artifact = compiler.build(add_one, "aarch64-linux-gnu")
    assert artifact.target == "llvm -mtriple=aarch64-unknown-linux-gnu"
    assert "define" in artifact.llvm_ir
    assert "xd_add_one" in artifact.llvm_ir
    assert "fadd\tv" in artifact.assembly
    assert artifact.opencl_source == ""
    assert len(artifact.key) == 64
    opencl = compiler.build(add_one, "opencl")
    assert "__kernel" in opencl.opencl_source
    assert (opencl.target, opencl.object, opencl.llvm_ir, opencl.assembly) == ("opencl", b"", "", "")


def test_a_saved_library_describes_itself(compiler: Compiler, tmp_path: Path) -> None:
    built = compiler.build(TextKernel(), "armv7l-linux-gnueabihf")
    loaded = Artifact.load(built.save(tmp_path / "scale.so"))
    assert (loaded.kind, loaded.signature, loaded.target, loaded.key) == (
        *("cpu", built.signature),
        *(built.target, built.key),
    )
    assert loaded.object == built.object


def test_a_saved_opencl_program_describes_itself(compiler: Compiler, tmp_path: Path) -> None:
    built = compiler.build(add_one, "opencl")
    path = built.save(tmp_path / "add_one.cl")
    loaded = Artifact.load(str(path))
    assert loaded == built
    assert path.read_text().endswith(built.opencl_source)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "neither an ELF file nor OpenCL C"),
        (b"__kernel void f() {}\n", "neither an ELF file nor OpenCL C"),
        (b"\xff\xfe\x00", "is no artifact"),
        (b"// xdevice {\n", "is no artifact"),
        (b'// xdevice {"format": 99}\n', "of format 99, where this version reads format 2"),
        (b'// xdevice {"format": 1}\n', "is no artifact"),
        (b"// xdevice 3\n", "is no artifact"),
        (b"\x7fELF" + bytes(100), "is no artifact"),
    ],
)
def test_loading_anything_else_is_an_error(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(XDeviceError, match=said):
        Artifact.load(path)
    with pytest.raises(XDeviceError, match="cannot read the artifact"):
        Artifact.load(tmp_path / "missing")


def test_a_library_that_was_cut_short_is_an_error(compiler: Compiler, tmp_path: Path) -> None:
    whole = compiler.build(TextKernel(), "x86_64-linux-gnu").object
    for size in range(0, len(whole), 97):
        path = tmp_path / "short.so"
        path.write_bytes(whole[:size])
        with pytest.raises(XDeviceError):
            Artifact.load(path)


def test_a_foreign_library_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(XDeviceError, match=r"an ELF file without a section \.xdevice"):
        Artifact.load("/proc/self/exe")


def test_an_unknown_cpu_or_feature_is_a_target_error(compiler: Compiler) -> None:
    with pytest.raises(TargetError, match="unknown CPU 'cortex-a54'"):
        compiler.build(TextKernel(), "llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a54")
    with pytest.raises(TargetError, match="unknown CPU 'znver33'"):
        compiler.build(TextKernel(), "llvm -mtriple=x86_64-linux-gnu -mcpu=znver33")
    with pytest.raises(TargetError, match="unknown feature"):
        compiler.build(TextKernel(), "llvm -mtriple=aarch64-linux-gnu -mattr=+neno")
    assert compiler.build(TextKernel(), "aarch64-linux-gnu").is_linked


def test_a_mistake_in_the_ir_is_reported_with_its_line(compiler: Compiler) -> None:
    with pytest.raises(CompileError, match=r"(?s)kernel 'scale' for .*:16:\d+: error: use of undefined value '%z'"):
        compiler.build(TextKernel(SCALE.replace("i64 %i, %n", "i64 %i, %z")))


def test_an_undefined_symbol_is_named(compiler: Compiler) -> None:
    text = CALLS.replace("@expf", "@frobnicate").replace("@sinf", "@twiddle")
    with pytest.raises(CompileError, match=r"undefined symbols for x86_64.*: frobnicate, twiddle;"):
        compiler.build(TextKernel(SCALE + text), "x86_64-linux-gnu")


def test_the_same_source_is_built_once(fresh: Compiler) -> None:
    source = TextKernel()
    first = fresh.build(source, "x86_64-linux-gnu")
    assert fresh.build(source, "llvm -mtriple=x86_64-linux-gnu") is first
    assert fresh.build(source, "aarch64-linux-gnu") is not first


def test_what_is_remembered_goes_with_its_source(fresh: Compiler) -> None:
    source = TextKernel()
    artifact = weakref.ref(fresh.build(source, "x86_64-linux-gnu"))
    del source
    gc.collect()
    assert artifact() is None


def test_another_compiler_finds_the_artifact_on_disk(fresh: Compiler) -> None:
    first = fresh.build(TextKernel(), "x86_64-linux-gnu")
    files = _files(fresh.cache_directory)
    again = Compiler(fresh.cache_directory).build(TextKernel(), "x86_64-linux-gnu")
    assert again == first
    assert again.assembly == first.assembly
    assert _files(fresh.cache_directory) == files, "nothing was written anew"


def test_a_warm_build_starts_no_process(fresh: Compiler) -> None:
    fresh.build(TextKernel(), "x86_64-linux-gnu")
    fresh.close()
    Compiler(fresh.cache_directory).build(TextKernel(), "x86_64-linux-gnu")
    assert llvm.shared()._child is None


@pytest.mark.parametrize(
    "change",
    [
        {"text": SCALE.replace("fmul", "fadd")},
        {"target": Target.parse("aarch64-linux-gnu")},
        {"target": Target("x86_64-unknown-linux-gnu", glibc=(2, 17))},
        {"signature": Signature("scale", ())},
        {"linkers": ()},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_key_changes_with_everything_that_matters(compiler: Compiler, change: dict[str, object]) -> None:
    source = TextKernel(**{key: value for key, value in change.items() if key in ("text", "signature")})  # type: ignore[arg-type]
    other = Compiler(compiler.cache_directory, linkers=()) if "linkers" in change else compiler
    target = change.get("target", "x86_64-linux-gnu")
    assert isinstance(target, (str, Target))
    assert other.build(source, target).key != compiler.build(TextKernel(), "x86_64-linux-gnu").key


@pytest.mark.parametrize("damage", ["emptied", "shortened", "flipped", "another format"])
def test_a_damaged_entry_is_built_again(fresh: Compiler, damage: str) -> None:
    built = fresh.build(TextKernel(), "x86_64-linux-gnu")
    path = Cache(fresh.cache_directory).path_of(built.key)
    data = path.read_bytes()
    if damage == "another format":
        Cache(fresh.cache_directory).put(built.key, b"not JSON\n")
    else:
        middle = len(data) // 2
        flipped = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
        path.write_bytes({"emptied": b"", "shortened": data[:middle], "flipped": flipped}[damage])
    assert Compiler(fresh.cache_directory).build(TextKernel(), "x86_64-linux-gnu") == built
    assert path.read_bytes() == data


def test_a_damaged_stub_library_is_made_again(fresh: Compiler) -> None:
    source = TextKernel(SCALE + CALLS)
    fresh.build(source, "x86_64-linux-gnu")
    stubs = list(fresh.cache_directory.glob("*/*-lib*.so.*"))
    assert stubs
    for stub in stubs:
        stub.write_bytes(b"")
    built = Compiler(fresh.cache_directory).build(TextKernel(SCALE + CALLS + "; other\n"), "x86_64-linux-gnu")
    assert elf.ElfFile(built.object).needed == ("libm.so.6", "libc.so.6")


def test_a_cache_that_cannot_be_written_does_not_stop_a_build(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    compiler = Compiler(tmp_path / "file" / "cache")
    assert compiler.build(TextKernel(), "x86_64-linux-gnu").is_linked


def test_processes_share_a_cache(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Pool(3) as pool:
        keys = pool.map(_build_key, [str(tmp_path)] * 6, chunksize=1)
        pool.close()
        pool.join()
    assert len(set(keys)) == 1
    assert not list(tmp_path.glob("*/.new-*"))
    assert Cache(tmp_path).get(keys[0]) is not None


def _build_key(directory: str) -> str:
    return Compiler(directory).build(TextKernel(SCALE + CALLS), "armv7l-linux-gnueabihf").key


def test_threads_share_a_compiler(fresh: Compiler) -> None:
    texts = [SCALE.replace("fmul float %value", f"fadd float {number}.0") for number in range(8)]
    built: dict[str, Artifact] = {}
    threads = [
        threading.Thread(target=lambda text=text: built.update({text: fresh.build(TextKernel(text), "x86_64")}))
        for text in texts
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({artifact.key for artifact in built.values()}) == 8
    alone = Compiler(fresh.cache_directory / "alone")
    for text in texts:
        assert built[text].llvm_ir == alone.build(TextKernel(text), "x86_64").llvm_ir


def test_without_a_linker_the_artifact_is_an_object_for_the_device_to_link(tmp_path: Path) -> None:
    artifact = Compiler(tmp_path, linkers=()).build(TextKernel(SCALE + CALLS), "riscv64-linux-gnu")
    assert not artifact.is_linked
    assert Artifact.load(artifact.save(tmp_path / "scale.o")).signature == artifact.signature
    assert {"expf", "pow"} <= set(elf.ElfFile(artifact.object).undefined)


def test_build_uses_the_cache_that_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    artifact = build(TextKernel(), "aarch64-linux-gnu", cache_directory=tmp_path / "named")
    assert Cache(tmp_path / "named").get(artifact.key) is not None
    with use_cache(tmp_path / "scoped"):
        build(TextKernel(), "aarch64-linux-gnu")
    assert Cache(tmp_path / "scoped").get(artifact.key) is not None
    Compiler().build(TextKernel(), "aarch64-linux-gnu")
    assert Cache(tmp_path / "home" / "pytest-xdevice").get(artifact.key) is not None


def _files(directory: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in directory.rglob("*") if path.is_file()}
