"""The directive ``derived``: parts of the reference that are made of the code they describe.

``{derived} options`` and so on stand in the pages of ``docs/reference``; each name is a function of `SOURCES` that
returns Markdown.
"""

from __future__ import annotations

import argparse
import inspect
import json
import re
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import field
from importlib import resources
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from pytest_xdevice import cli
from pytest_xdevice import newhooks
from pytest_xdevice import plugin
from pytest_xdevice.markers import MARKERS
from pytest_xdevice.options import add_options


@dataclass
class Declarations:
    """What `add_options` declares, in the place of pytest's parser and its group.

    Attributes
    ----------
    options : list of (str, dict)
        Each option with what it was declared with.
    settings : dict of str to str
        The help of each ini option.
    """

    options: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)

    def getgroup(self, *_: str) -> Declarations:
        return self

    def addoption(self, name: str, **declared: Any) -> None:
        self.options.append((name, declared))

    def addini(self, name: str, help: str, **_: Any) -> None:
        self.settings[name] = help


def declarations() -> Declarations:
    """Return the plugin's options."""
    declared = Declarations()
    add_options(declared)  # type: ignore[arg-type]
    return declared


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table in Markdown."""
    heads = list(heads)
    lines = [heads, ["---"] * len(heads), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def options() -> str:
    """Return the command-line options with their ini options."""
    declared = declarations()
    return "".join(
        f"`{_usage(name, given)}`{_setting(name, declared)}\n: {_sentence(given['help'])}\n\n"
        for name, given in declared.options
    )


def _usage(name: str, given: dict[str, Any]) -> str:
    return f"{name} {given['metavar']}" if given.get("metavar") else name


def _setting(name: str, declared: Declarations) -> str:
    setting = name.lstrip("-").replace("-", "_")
    return f", ini `{setting}`" if setting in declared.settings else ""


def _sentence(text: str) -> str:
    """Return a help text as Markdown: argparse's `%%` is a `%`, and what looks like code is set as such."""
    text = text.replace("%%", "%").replace("*", "\\*").replace("<", "&lt;")
    return re.sub(r"(?<![\w`])(--[\w-]+|\[[\w.-]+\.NAME\]|[A-Z_]*XDEVICE[A-Z_]*)", r"`\1`", text)


def markers() -> str:
    """Return the markers."""
    return "".join(f"`@pytest.mark.{text.partition(': ')[0]}`\n: {text.partition(': ')[2]}\n\n" for text in MARKERS)


def hooks() -> str:
    """Return the hooks with their signatures and docstrings."""
    found = [(name, hook) for name, hook in vars(newhooks).items() if name.startswith("pytest_xdevice_")]
    return "".join(f"`{name}{_signature(hook)}`\n: {_indented(hook)}\n\n" for name, hook in found)


def _signature(hook: Callable[..., Any]) -> str:
    return str(inspect.signature(hook)).replace("'", "")


def _indented(described: Callable[..., Any]) -> str:
    return (inspect.getdoc(described) or "").replace("``", "`").replace("\n", "\n  ")


def fixtures() -> str:
    """Return the fixtures of the plugin with their docstrings."""
    found = {name: getattr(plugin, name) for name in ("xdevice", "xdevice_session")}
    return "".join(f"`{name}`\n: {_indented(fixture)}\n\n" for name, fixture in found.items())


def commands() -> str:
    """Return the help of the command and of each of its commands."""
    parser = cli.command_parser()
    (subparsers,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    parts = []
    for name, command in subparsers.choices.items():
        text = command.format_help() if name != "serve" else _serve_help()
        parts.append(f"## xdevice {name}\n\n```text\n{text.rstrip()}\n```\n")
    return "\n".join(parts)


def _serve_help() -> str:
    from pytest_xdevice.runtime.__main__ import parser

    return parser().format_help()


def report_schema() -> str:
    """Return the tables of the JSON report's schema."""
    text = resources.files("pytest_xdevice.report").joinpath("schema.json").read_text("utf-8")
    return _schema_tables(json.loads(text))


def _schema_tables(schema: dict[str, Any]) -> str:
    # A text before the first heading would be lost: a directive's sections are moved to those of the page.
    parts = ["## The document\n\n", f"{schema['description']}\n\n", *_properties(schema)]
    for name, inner in schema["$defs"].items():
        if "properties" in inner:
            parts += [f"## {name}\n\n", f"{inner.get('description', '')}\n\n", *_properties(inner)]
    return "".join(parts)


def _properties(schema: dict[str, Any]) -> Iterator[str]:
    required = schema.get("required", ())
    rows = (
        (f"`{name}`", _type(given), "yes" if name in required else "", given.get("description", ""))
        for name, given in schema["properties"].items()
    )
    yield table(("property", "type", "always there", "what it is"), rows) + "\n"


def _type(given: dict[str, Any]) -> str:
    if "$ref" in given:
        return f"{given['$ref'].rpartition('/')[2]}"
    if "const" in given:
        return f"`{json.dumps(given['const'])}`"
    if "enum" in given:
        return " or ".join(f"`{json.dumps(value)}`" for value in given["enum"])
    kinds = given.get("type", "any")
    names = " or ".join([kinds] if isinstance(kinds, str) else kinds)
    return f"{names} of {_type(given['items'])}" if "items" in given else names


SOURCES: dict[str, Callable[[], str]] = {
    "commands": commands,
    "fixtures": fixtures,
    "hooks": hooks,
    "markers": markers,
    "options": options,
    "report-schema": report_schema,
}


class Derived(SphinxDirective):
    """``{derived} NAME``: what the function of that name in `SOURCES` returns, read as Markdown."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes(SOURCES[self.arguments[0]](), allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("derived", Derived)
    return {"parallel_read_safe": True}
