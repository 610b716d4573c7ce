"""The forms of a program that a device's build options choose: what a GPU counts with, and how much a work-item takes.

``XD_GPU`` is given on a GPU, ``XD_SMALL`` for launches whose indices fit 32 bits as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence
from typing import Final

# What fits 32 bits where the launch is small; see `small_integers`.
_INDEX: Final = """\
#ifdef XD_SMALL
typedef int xd_index;
#else
typedef long xd_index;
#endif"""
# A GPU takes up to twice the time to count a long, so that it counts strips which an int can count.
_COUNTING: Final = """\
#ifdef XD_GPU
#define XD_COUNT(c, e, n, k, start, stop) \\
    for (long c = start, e = stop, n; c < e && (n = (long)min((ulong)e - (ulong)c, 1UL << 30)); c += n) \\
        for (int k = 0; k < (int)n; ++k)
#define XD_COUNTED(c, k) (c + k)
#else
#define XD_COUNT(c, e, n, k, start, stop) for (long c = start, e = stop; c < e; ++c)
#define XD_COUNTED(c, k) c
#endif
#ifdef XD_SMALL
#define XD_COUNT_INDEX(c, e, n, k, start, stop) for (int c = start; c < (stop); ++c)
#define XD_COUNTED_INDEX(c, k) c
#else
#define XD_COUNT_INDEX XD_COUNT
#define XD_COUNTED_INDEX XD_COUNTED
#endif"""
# A work-item of a GPU takes several iterations of a short body: its loads are then under way together, without which
# the memory is not kept busy. Either they follow each other, or they lie a work-group apart.
EACH: Final = 4
_SPREAD: Final = """\
#ifdef XD_GPU
#define XD_EACH(count) (count)
#define XD_BESIDE(type, k, count, dimension) ((type)get_global_id(dimension) * (count) + (k))
#define XD_APART(type, k, count, dimension) \\
    (((type)get_group_id(dimension) * (count) + (k)) * (type)get_local_size(dimension) \\
     + (type)get_local_id(dimension))
#define XD_FOR_EACH(k, count) for (int k = 0; k < (count); ++k)
#define XD_NEXT continue
#else
#define XD_EACH(count) 1
#define XD_BESIDE(type, k, count, dimension) (type)get_global_id(dimension)
#define XD_APART XD_BESIDE
#define XD_FOR_EACH(k, count) const int k = 0;
#define XD_NEXT return
#endif"""
# The elements of a window between a device's memory and its registers. Without being unrolled, a loop over them would
# need an array in memory.
_WINDOWS: Final = """\
#define XD_UNROLLED _Pragma("unroll")
#define XD_TAKE(element, vector, count, to, from) \\
    if (((size_t)(from) & (sizeof(vector) - 1)) == 0) { \\
        union { vector whole[(count) * sizeof(element) / sizeof(vector)]; element each[count]; } xd_w; \\
        XD_UNROLLED for (int z = 0; z < (int)((count) * sizeof(element) / sizeof(vector)); ++z) \\
            xd_w.whole[z] = ((__global const vector *)(from))[z]; \\
        XD_UNROLLED for (int z = 0; z < (count); ++z) (to)[z] = xd_w.each[z]; \\
    } else { \\
        XD_UNROLLED for (int z = 0; z < (count); ++z) (to)[z] = (from)[z]; \\
    }
#define XD_GIVE(element, vector, count, to, from) \\
    if (((size_t)(to) & (sizeof(vector) - 1)) == 0) { \\
        union { vector whole[(count) * sizeof(element) / sizeof(vector)]; element each[count]; } xd_w; \\
        XD_UNROLLED for (int z = 0; z < (count); ++z) xd_w.each[z] = (from)[z]; \\
        XD_UNROLLED for (int z = 0; z < (int)((count) * sizeof(element) / sizeof(vector)); ++z) \\
            ((__global vector *)(to))[z] = xd_w.whole[z]; \\
    } else { \\
        XD_UNROLLED for (int z = 0; z < (count); ++z) (to)[z] = (from)[z]; \\
    }"""
_FORMS: Final = {"xd_index": _INDEX, "XD_COUNT": _COUNTING, "XD_EACH": _SPREAD, "XD_UNROLLED": _WINDOWS}


def forms_used(kernels: Sequence[str]) -> Iterator[str]:
    """Yield the definitions that the text of kernels needs."""
    for name, definition in _FORMS.items():
        if any(name in kernel for kernel in kernels):
            yield definition
