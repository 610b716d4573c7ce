"""The kernels that the diagnosis runs on a device."""

# Annotations of kernels are the kernel language's types, which a checker of Python's does not know.
# mypy: disable-error-code="no-untyped-def, valid-type, index"

from __future__ import annotations

from .. import dim
from .. import f32
from .. import In
from .. import kernel
from .. import Out
from .. import parallel

n = dim("n")


@kernel
def add_one(a: In[f32, n], b: Out[f32, n]):
    for i in parallel(n):
        b[i] = a[i] + 1.0


@kernel
def nothing(a: In[f32, n]):
    pass
