"""Print the recorded actions: `agentphone-mcp ledger`."""

import json
import re
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from agentphone_mcp.commands.options import HELP_NAMES
from agentphone_mcp.config.config import read_state
from agentphone_mcp.config.settings import ConfigError
from agentphone_mcp.policy.ledger.handle import LedgerHandle
from agentphone_mcp.policy.ledger.location import LedgerUnavailable
from agentphone_mcp.policy.ledger.records import MAY_HAVE_HAPPENED, Entry
from agentphone_mcp.policy.pricing import MICROS_PER_DOLLAR, in_dollars
from agentphone_mcp.policy.untrusted import clean

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_STYLES = {"done": "green", "refused": "yellow", "failed": "red", "unknown": "bold red", "pending": "cyan"}
_NARROW = 72
"""The width below which a table would leave no room for what was done."""


class Since(click.ParamType[datetime]):
    """Parse a moment: ISO 8601, or how long ago."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Read it; what has no time zone is this machine's time."""
        if isinstance(value, datetime):
            return value
        ago = re.fullmatch(r"(\d{1,4})([mhdw])", value, flags=re.ASCII)
        if ago:
            return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        try:
            return datetime.fromisoformat(value).astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no moment: write 90m, 12h, 7d, 2w or 2026-11-20T09:00", param, ctx)


@click.command(context_settings=HELP_NAMES)
@click.option("--since", type=Since(), help="Only what came later: 90m, 12h, 7d, 2w, or an ISO 8601 date and time.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
@click.option("--state", default="", envvar="AGENTPHONE_STATE", show_envvar=True, help="Where the ledger is kept.")
def ledger(since: datetime | None, as_json: bool, state: str) -> None:
    """Show what was done, refused, and left in doubt, oldest first.

    The rows are those of every account that was used from this machine or database; costs with a ~ are estimates.
    """
    try:
        place = read_state(state)
    except ConfigError as exc:
        raise click.ClickException(str(exc)) from None
    handle = LedgerHandle(place)
    is_there = handle.may_exist
    try:
        entries = handle.open().entries(since.timestamp() if since else 0) if is_there else []
    except LedgerUnavailable as exc:
        raise click.ClickException(f"the ledger cannot be read: {exc}") from None
    finally:
        handle.close()
    if not is_there:
        # A slip in the path must not look like an empty history, in a pipe neither.
        click.echo(f"There is no ledger at {place} yet; the first action makes it.", err=as_json)
    if as_json:
        click.echo(json.dumps([_plain(entry) for entry in entries], indent=2))
    elif entries:
        _print(entries)
    elif is_there:
        click.echo("Nothing is in the ledger yet." if since is None else "Nothing is in the ledger since then.")


def _plain(entry: Entry) -> dict[str, Any]:
    # The names of this output are public; the summary is its `what`.
    row = {"what" if name == "summary" else name: value for name, value in asdict(entry).items()}
    row |= {"at": _utc(entry.at), "settled_at": _utc(entry.settled_at) if entry.settled_at else None}
    cost = entry.cost / MICROS_PER_DOLLAR if entry.outcome in MAY_HAVE_HAPPENED else 0
    row |= {"cost_usd": cost, "is_estimate": bool(cost) and entry.minute_cost is not None}
    for internal in ("cost", "minute_cost", "match_on", "result"):
        del row[internal]
    return row


def _print(entries: list[Entry]) -> None:
    console = Console(soft_wrap=False)
    rows = [_cells(entry, console.encoding) for entry in entries]
    if console.width < _NARROW:
        for *head, description in rows:
            console.print(Text("  ").join(cell for cell in head if cell))
            console.print(description)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("when", "account", "outcome"):
        table.add_column(title, no_wrap=True)
    table.add_column("about", justify="right", no_wrap=True)
    table.add_column("what", overflow="fold", ratio=1)
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _cells(entry: Entry, encoding: str) -> list[Text]:
    when = datetime.fromtimestamp(entry.at).astimezone()
    estimate = "~" if entry.minute_cost is not None else ""
    return [
        Text(f"{when:%Y-%m-%d %H:%M:%S}"),
        Text(entry.account[:4]),
        Text(entry.outcome, _STYLES[entry.outcome]),
        Text(f"{estimate}{in_dollars(entry.cost)}" if entry.cost and entry.outcome in MAY_HAVE_HAPPENED else ""),
        # What a stream cannot write, as cp1252 cannot write Japanese, becomes a question mark.
        Text(_describe(entry).encode(encoding, "replace").decode(encoding), overflow="fold"),
    ]


def _describe(entry: Entry) -> str:
    lines = [f"{entry.tool}: {entry.summary}"]
    if entry.reason:
        lines.append(f"  {entry.reason}")
    if entry.ids:
        lines.append(f"  {', '.join(f'{name} {value}' for name, value in entry.ids.items())}")
    if entry.approved_by and entry.outcome != "refused":
        how = "its user agreed when asked" if entry.approved_how == "person" else "with confirm"
        lines.append(f"  by {entry.approved_by}, {how}")
    return "\n".join(_harmless(line) for line in lines)


def _harmless(words: str) -> str:
    """Strip terminal control characters and line breaks from untrusted text."""
    return " ".join(clean(words).replace("\t", " ").split("\n"))


def _utc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
