"""What LLVM is told of the iterations of parallel loops: that their accesses are independent."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping
from contextlib import contextmanager

from pytest_xdevice.kernel.types import LocalArray

from .module import Module


class AccessGroups:
    """The access groups of the parallel loops around the place that is being printed."""

    def __init__(self, module: Module, local_arrays: Mapping[str, LocalArray]) -> None:
        self._module = module
        self._local_arrays = local_arrays
        self._around: tuple[str, ...] = ()
        self._items_from: int | None = None  # the first group of a loop over a work-group's items
        self._lists: dict[tuple[str, ...], str] = {}

    @contextmanager
    def items(self) -> Iterator[None]:
        """Take the loops within the block for loops over the items of a work-group."""
        outer, self._items_from = self._items_from, len(self._around)
        yield
        self._items_from = outer

    @contextmanager
    def loop(self, *, independent: bool) -> Iterator[tuple[str, ...]]:
        """Give the accesses within the block a group, if they are independent; yields the properties of their loop."""
        outer = self._around
        properties: list[str] = []
        if self._items_from is not None:
            # Unrolled before it could be vectorised, the loop over items would leave that to the loop around it.
            properties.append(self._module.node('!{!"llvm.loop.unroll.disable"}'))
        if independent:
            group = self._module.node("distinct !{}")
            properties.append(self._module.node(f'!{{!"llvm.loop.parallel_accesses", {group}}}'))
            self._around = (*outer, group)
        yield tuple(properties)
        self._around = outer

    def of(self, array: str) -> str:
        """Return what an access of `array` says of the parallel loops around it.

        All iterations use the same memory for a private array, and all work-groups for a shared one.
        """
        groups = self._around
        if array in self._local_arrays:
            items = self._local_arrays[array].space == "shared" and self._items_from is not None
            groups = groups[self._items_from :] if items else ()
        if not groups:
            return ""
        if groups not in self._lists:
            self._lists[groups] = self._module.node(f"!{{{', '.join(groups)}}}")
        return f", !llvm.access.group {self._lists[groups]}"
