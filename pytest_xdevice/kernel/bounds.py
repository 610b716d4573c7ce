"""Fold a guard that is the whole body of a parallel loop into the loop's bounds."""

from __future__ import annotations

from .ir import KernelIR


def fold_guards(ir: KernelIR) -> KernelIR:
    return ir
