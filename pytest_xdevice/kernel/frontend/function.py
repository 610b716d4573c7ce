"""The front end: from a Python function to the typed IR of a kernel."""

from __future__ import annotations

from types import FunctionType

from pytest_xdevice.kernel.ir import KernelIR
from pytest_xdevice.kernel.signature import Signature

from .captured import Captured
from .expressions import Expressions
from .inline import inline_call
from .names import Calls
from .nesting import check_nesting
from .scope import Scope
from .source import read_source
from .statements import Statements
from .variables import Variables


def build_ir(function: FunctionType, signature: Signature, captured: Captured, fast: frozenset[str]) -> KernelIR:
    """Return the typed IR of the kernel `function`.

    Raises
    ------
    KernelError
        At the first mistake in it.
    """
    text = read_source(function)
    check_nesting(text)
    code = function.__code__
    scope = Scope.of_kernel(signature)
    local_names = frozenset(code.co_varnames + code.co_cellvars) - set(scope.params)
    variables = Variables(frozenset(scope.params))
    calls = Calls(scope.dims, (function,), inline_call)
    statements = Statements(Expressions(text, captured, scope, variables, local_names, calls))
    try:
        body = statements.block(text.node.body)
    except RecursionError:
        raise text.error(text.node, "this nests too deep for Python.", "Give parts of it to locals.") from None
    return KernelIR(signature, variables.types, body, text.filename, fast, variables.arrays)
