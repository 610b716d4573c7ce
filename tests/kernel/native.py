"""Compile the back end's LLVM text with llvmlite: run it in this process, or print it for another target."""

from __future__ import annotations

import ctypes
from typing import Any

import llvmlite.binding as llvm
import numpy as np

from pytest_xdevice.kernel.ir import KernelIR
from pytest_xdevice.kernel.llvm.entry import kernel_module
from pytest_xdevice.kernel.llvm.threads import Threads
from pytest_xdevice.kernel.signature import Signature
from pytest_xdevice.kernel.types import ArrayType
from pytest_xdevice.kernel.types import Dim
from pytest_xdevice.toolchain import half

_STOP = "xd.pool.stop"

llvm.initialize_all_targets()
llvm.initialize_all_asmprinters()


def target_machine(triple: str, cpu: str = "", features: str = "") -> llvm.TargetMachine:
    target = llvm.Target.from_triple(triple)
    return target.create_target_machine(cpu=cpu, features=features, opt=3, reloc="pic", codemodel="small")


def optimised(text: str, machine: llvm.TargetMachine, halves: half.Support) -> llvm.ModuleRef:
    """Return the module of `text`, verified and optimised for `machine`, which converts half precision as told."""
    module = llvm.parse_assembly(text)
    module.link_in(llvm.parse_assembly(half.definitions(halves)))
    module.triple = machine.triple
    module.data_layout = str(machine.target_data)
    module.verify()
    tuning = llvm.PipelineTuningOptions(speed_level=3)
    tuning.loop_vectorization = tuning.slp_vectorization = True
    builder = llvm.create_pass_builder(machine, tuning)
    builder.getModulePassManager().run(module, builder)
    module.verify()
    return module


class Native:
    """A kernel in this process, made by LLVM's MCJIT; without half precision's instructions and threads unless told."""

    def __init__(self, ir: KernelIR, halves: half.Support = "none", threads: Threads | None = None) -> None:
        self.signature = ir.signature
        target = llvm.Target.from_default_triple()
        features = llvm.get_host_cpu_features().flatten()
        machine = target.create_target_machine(cpu=llvm.get_host_cpu_name(), features=features, opt=3)
        # The end of the threads, which the loader of a library calls, is ours to call.
        text = kernel_module(ir, pointer_bits=64, threads=threads).replace(f"internal void @{_STOP}", f"void @{_STOP}")
        module = optimised(text, machine, halves)
        self._engine = llvm.create_mcjit_compiler(module, machine)
        self._engine.finalize_object()
        self.address = self._engine.get_function_address(f"xd_{ir.signature.name}")
        stop = self._engine.get_function_address(_STOP) if threads and _STOP in text else 0
        self._stop = ctypes.CFUNCTYPE(None)(stop) if stop else lambda: None

    def __call__(self, *arguments: Any) -> None:
        """Run on NumPy arrays, changed in place, and scalars, in parameter order."""
        slots, _keep = packed(self.signature, arguments)
        try:
            assert ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(self.address)(ctypes.addressof(slots)) == 0
        finally:
            self._stop()


def packed(signature: Signature, arguments: tuple[Any, ...]) -> tuple[Any, list[Any]]:
    """Return ``void *args[]`` for a launch and what must stay alive during it."""
    dims: dict[str, int] = {}
    buffers: list[np.ndarray[Any, Any]] = []
    for param, argument in zip(signature.params, arguments, strict=True):
        if isinstance(param.type, ArrayType):
            assert argument.dtype == param.type.element.dtype
            assert argument.flags.c_contiguous
            for extent, size in zip(param.type.extents, argument.shape, strict=True):
                if isinstance(extent, Dim):
                    assert dims.setdefault(extent.name, size) == size
            buffers.append(argument)
        else:
            buffers.append(np.array([argument], dtype=param.type.dtype))
    buffers += [np.array([dims[name]], dtype=np.int64) for name in signature.dims]
    slots = (ctypes.c_void_p * max(1, len(buffers)))(*(buffer.ctypes.data for buffer in buffers))
    return slots, buffers
