"""Writes ``docs/commands.md`` from the commands themselves (``make docs``)."""

from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path

import click

from runnerd.cli.root import root

PAGE = Path(__file__).parents[1] / "docs" / "commands.md"
HEAD = """# Commands

<!-- Written by `make docs` from the commands themselves: change it there. -->

What `--help` says, on one page. What the commands are for stands in the [guide](cli.md).
"""


def page() -> str:
    """Give the page."""
    return HEAD + "".join(_section(context) for context in _contexts(root, None, "runnerd"))


def _contexts(
    command: click.Command, parent: click.Context | None, name: str
) -> Iterator[click.Context]:
    context = click.Context(command, info_name=name, parent=parent)
    yield context
    if isinstance(command, click.Group):
        for child_name in command.list_commands(context):
            child = command.get_command(context, child_name)
            if child is not None and not child.hidden:
                yield from _contexts(child, context, child_name)


def _section(context: click.Context) -> str:
    usage = " ".join(context.command.collect_usage_pieces(context))
    described = _unwrapped(context.command.help or context.command.short_help or "")
    section = f"\n## `{context.command_path}`\n\n`{context.command_path} {usage}`\n\n{described}\n"
    if rows := list(_option_rows(context)):
        section += "\n| Option | Meaning |\n| --- | --- |\n" + "".join(rows)
    return section


def _option_rows(context: click.Context) -> Iterator[str]:
    for parameter in context.command.get_params(context):
        record = parameter.get_help_record(context)
        if isinstance(parameter, click.Option) and record and "--help" not in parameter.opts:
            option, meaning = (text.replace("|", "\\|") for text in record)
            yield f"| `{option}` | {meaning} |\n"


def _unwrapped(text: str) -> str:
    r"""Give the help text as Markdown: a paragraph after ``\b`` keeps its lines, as a block."""
    paragraphs = []
    for paragraph in cleandoc(text).split("\n\n"):
        mark, _, rest = paragraph.partition("\n")
        paragraphs.append(f"```text\n{rest}\n```" if mark == "\b" else paragraph)
    return "\n\n".join(paragraphs)


if __name__ == "__main__":
    PAGE.write_text(page())
