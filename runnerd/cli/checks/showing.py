"""What a check found, for people."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from runnerd.cli.checks.finding import Finding
from runnerd.cli.output import STYLES

_MARKS = {"ok": "✓", "warn": "!", "fail": "✗"}


def show(console: Console, finding: Finding) -> None:
    """Print a finding, and below it what to do."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=1)
    grid.add_column(width=18)
    grid.add_column(overflow="fold")
    style = STYLES[finding.verdict]
    detail = Text(finding.detail)
    if finding.cure:
        detail.append(f"\n→ {finding.cure}", style="bold")
    grid.add_row(Text(_MARKS[finding.verdict], style), Text(finding.name, style), detail)
    console.print(grid)
