"""A hook of mkdocs: the page of options lists what `sereno VERB --help` prints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from sereno.cli import app

PAGE = "options.md"


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:  # noqa: ANN401
    """Add the options of every verb to the page."""
    if page.file.src_uri != PAGE:
        return markdown
    verbs: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    return "\n".join([markdown, *(line for name, verb in verbs.items() for line in section(name, verb))])


def section(name: str, verb: Any) -> Iterator[str]:  # noqa: ANN401
    """Yield the lines of a verb: what it does, and a table of its options by heading."""
    yield from (f"\n## {name}\n", str(verb.help), "", "| | option | |", "| --- | --- | --- |")
    panel = ""
    for parameter in verb.params:
        option = parameter.param_type_name == "option"
        heading = (parameter.rich_help_panel or "") if option else "Input"
        names = " ".join(f"`{text}`" for text in parameter.opts + parameter.secondary_opts)
        names = names if option else f"`{parameter.metavar or parameter.name}`"
        text = (parameter.help or "").replace("|", r"\|")
        yield f"| {heading if heading != panel else ''} | {names} | {text} |"
        panel = heading
