"""Print the findings as a table that fits 80 columns, or as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table
from rich.text import Text

from agentphone_mcp.commands.doctor.finding import Finding, Status, all_ok
from agentphone_mcp.policy.untrusted import clean

_STYLES: dict[Status, str] = {"ok": "green", "warning": "yellow", "failure": "bold red", "skipped": "dim"}


def as_json(findings: Sequence[Finding], version: str) -> str:
    """Serialize to an object: `version`, `ok`, `findings` of `check`, `status`, `said`, `remedy` and `facts`."""
    report = {"version": version, "ok": all_ok(findings), "findings": [asdict(finding) for finding in findings]}
    return json.dumps(report, indent=2)


def show(findings: Sequence[Finding], console: Console) -> None:
    """Print a row for each finding with its remedy below it, and a conclusion."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold", ratio=1)
    for finding in findings:
        message = Text(_writable(finding.said, console))
        if finding.remedy:
            message.append(f"\n-> {_writable(finding.remedy, console)}", style="bold")
        table.add_row(Text(finding.status, _STYLES[finding.status]), Text(_writable(finding.check, console)), message)
    console.print(table)
    console.print()
    console.print(Text(_conclusion(findings)))


def _conclusion(findings: Sequence[Finding]) -> str:
    failures = sum(finding.status == "failure" for finding in findings)
    warnings = sum(finding.status == "warning" for finding in findings)
    also = f", with {_counted(warnings, 'warning')}" if warnings else ""
    return f"It does not work: {_counted(failures, 'failure')}{also}." if failures else f"It works{also}."


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _writable(words: str, console: Console) -> str:
    """Put a text on one line, without control characters or characters that the stream cannot encode."""
    line = " ".join(clean(words).split())
    return line.encode(console.encoding, "replace").decode(console.encoding)
