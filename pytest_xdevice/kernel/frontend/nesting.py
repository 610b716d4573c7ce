"""Bounds how deep expressions and statements may nest: Python's parser, OpenCL compilers and recursion have limits."""

from __future__ import annotations

import ast
from typing import Final

from .source import KernelText

# Python reads 200 nested brackets and clang 256; signed arithmetic takes two in OpenCL C for each of its levels.
LARGEST_DEPTH: Final = 128
# An `elif` is a statement within the one above it.
LARGEST_STATEMENT_DEPTH: Final = 160


def check_nesting(text: KernelText) -> None:
    """Refuse a kernel with an expression or a statement that some later step could not follow.

    Raises
    ------
    KernelError
        At the expression or statement.
    """
    _check_statements(text)
    statements = (node for node in ast.walk(text.node) if isinstance(node, ast.stmt))
    for expression in (
        node for each in statements for node in ast.iter_child_nodes(each) if isinstance(node, ast.expr)
    ):
        if _is_too_deep(expression):
            raise text.error(
                expression,
                f"this nests deeper than {LARGEST_DEPTH} levels.",
                "Give parts of it to locals, or write a loop.",
            )


def _check_statements(text: KernelText) -> None:
    pending: list[tuple[ast.AST, int]] = [(text.node, 0)]
    while pending:
        node, depth = pending.pop()
        if depth > LARGEST_STATEMENT_DEPTH:
            raise text.error(
                node,
                f"this stands in {LARGEST_STATEMENT_DEPTH} other statements, each 'elif' counted.",
                "Divide the choices among helper functions, or compute an index of an array.",
            )
        pending += [(child, depth + 1) for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]


def _is_too_deep(expression: ast.expr) -> bool:
    pending: list[tuple[ast.AST, int]] = [(expression, 1)]
    while pending:
        node, depth = pending.pop()
        if depth > LARGEST_DEPTH:
            return True
        inner = depth + _levels(node)
        pending += [(child, inner) for child in ast.iter_child_nodes(node)]
    return False


def _levels(node: ast.AST) -> int:
    """Return how many brackets, each within the next, `node` becomes in the interpreter."""
    if isinstance(node, ast.BoolOp):
        return (len(node.values) - 1) * (1 if all(map(_is_truth, node.values)) else 2)
    if isinstance(node, ast.Compare):
        return 2 * len(node.ops)
    if isinstance(node, ast.Call):
        return max(1, len(node.args) - 1)
    return {ast.IfExp: 2, ast.Subscript: 3}.get(type(node), 1)


def _is_truth(node: ast.expr) -> bool:
    """Say whether `node` is True or False by its form; of numbers `and` and `or` make choices."""
    return isinstance(node, (ast.Compare, ast.BoolOp)) or (
        isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
    )
