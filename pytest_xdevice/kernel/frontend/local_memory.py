"""How much the local arrays of an iteration, and those of a work-group, may take."""

from __future__ import annotations

from typing import Final

from pytest_xdevice.kernel.types import LocalArray

from .promote import Refusal

# What the stack of an iteration, or the registers of a work-item, can be asked to hold.
LARGEST_PRIVATE: Final = 16 * 1024
# What every OpenCL device of the full profile has.
LARGEST_SHARED: Final = 32 * 1024
# On a CPU, the private arrays of all items of a work-group lie on the stack together where there are barriers.
LARGEST_GROUP: Final = 1 << 20
MOST_ITEMS: Final = 1024


def check_size(taken: int, array: LocalArray) -> int:
    """Return the bytes taken when `array` comes to those of the same iteration or work-group.

    Raises
    ------
    Refusal
        If they are too many.
    """
    taken += array.nbytes
    if array.space == "private" and taken > LARGEST_PRIVATE:
        raise Refusal(
            f"the private arrays of an iteration take {taken} bytes, and {LARGEST_PRIVATE} is the most.",
            "Use smaller ones, or an InOut array with a part for each iteration.",
        )
    if array.space == "shared" and taken > LARGEST_SHARED:
        raise Refusal(
            f"the shared arrays of a work-group take {taken} bytes, and {LARGEST_SHARED} is the most that every "
            f"device has.",
            "Use smaller ones.",
        )
    return taken


def check_group(items: int, private_bytes: int) -> None:
    """Refuse a work-group with barriers or shared memory that is too large.

    Raises
    ------
    Refusal
        If it has too many items, or their private arrays take too much.
    """
    if items > MOST_ITEMS:
        raise Refusal(
            f"a work-group of {items} items, and {MOST_ITEMS} is the most that share memory or wait for each other.",
            "Use a smaller block.",
        )
    if items * private_bytes > LARGEST_GROUP:
        raise Refusal(
            f"the private arrays of a work-group of {items} items take {items * private_bytes} bytes, and "
            f"{LARGEST_GROUP} is the most.",
            "Use smaller ones, or a smaller block.",
        )
