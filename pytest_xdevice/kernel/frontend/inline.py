"""Calls of helper functions: plain Python functions, whose bodies become a part of the kernel."""

from __future__ import annotations

import ast
from types import FunctionType

from pytest_xdevice.kernel.errors import HelperCall
from pytest_xdevice.kernel.errors import KernelError

from .helper_arguments import Arguments
from .helper_body import HelperStatements
from .names import Names
from .nesting import LARGEST_DEPTH
from .parameters import read_helper_signature
from .promote import Operand
from .promote import Refusal


def inline_call(caller: Names, node: ast.Call, helper: FunctionType) -> Operand:
    """Return the call `node` of `helper`: a literal where the helper only returns one.

    Raises
    ------
    KernelError
        If there is a mistake in the call; if there is one in the helper, with one more call in its trail.
    Refusal
        If the helper is being called already.
    """
    name = ast.unparse(node.func) if helper.__name__ == "<lambda>" else helper.__name__
    caller.calls.refuse_recursion(helper)
    if caller.level > LARGEST_DEPTH:
        raise Refusal(
            f"helpers and expressions nest deeper than {LARGEST_DEPTH} levels.", "Give parts of them to locals."
        )
    try:
        captured = caller.captured.of_helper(helper)
        text = caller.calls.text(helper)
        signature = read_helper_signature(helper, captured)
        arguments = Arguments(caller, helper, name, text, captured)
    except KernelError as error:
        raise error.called(HelperCall(name, caller.text.excerpt(node))) from None
    arguments.bind(node, signature)
    try:
        arguments.bind_defaults()
        body = HelperStatements(arguments.expressions(), name, signature.returns)
        return body.inlined(arguments.bindings, caller.text.location(node))
    except KernelError as error:
        raise error.called(HelperCall(name, caller.text.excerpt(node))) from None
