"""Show in a terminal what happens in a sandbox: requests, calls, turns, texts, webhooks, money; a line each."""

from collections.abc import Callable
from datetime import date, datetime
from threading import Event

from rich.console import Console
from rich.text import Text

from agentphone_mcp.sandbox.app import Sandbox
from agentphone_mcp.sandbox.event_stream import SandboxEvent
from agentphone_mcp.sandbox.responses import Json

_POLL_SECONDS = 0.25
_KIND, _MARK = 8, 11
_STATUS = {"ringing": "yellow", "in-progress": "green", "completed": "bold", "busy": "yellow", "no-answer": "yellow"}

# The columns after the time: the kind, a short mark and the text, each with its style.
Cells = tuple[tuple[str, str], tuple[str, str], tuple[str, str]]


def show(sandbox: Sandbox, stop: Event, console: Console | None = None) -> None:
    """Print the sandbox's address and key, and then its events, until `stop` is set (seen within 0.25 s).

    A new day gets a line with its date, as the sandbox's clock can be moved.
    """
    console = console or Console()
    wake = Event()
    with sandbox.context.event_stream.subscribe(wake.set) as subscriber:
        _print_head(console, sandbox)
        day = date.today()
        while not stop.is_set():
            wake.wait(_POLL_SECONDS)
            wake.clear()
            for event in subscriber.take():
                at = _local(event)
                if at and at.date() != day:
                    day = at.date()
                    _print(console, Text(f"{day}", "dim"))
                _print(console, format_line(event))


def format_line(event: SandboxEvent) -> Text:
    """Format an event as one line: local time, kind, mark, text."""
    kind, mark, words = _CELLS[event.kind](event.row)
    at = _local(event)
    return Text.assemble(
        (f"{at:%H:%M:%S}" if at else " " * 8, "dim"),
        "  ",
        (f"{kind[0]:{_KIND}}", kind[1]),
        " ",
        (f"{mark[0]:{_MARK}}", mark[1]),
        " ",
        (_printable(words[0]), words[1]),
    )


def _local(event: SandboxEvent) -> datetime | None:
    at = event.row.get("at")
    return datetime.fromisoformat(at).astimezone() if at else None


def _print_head(console: Console, sandbox: Sandbox) -> None:
    _print(console, Text(f"An AgentPhone of your own is on {sandbox.url}; nothing here costs money or rings a phone."))
    _print(console, Text())
    _print(console, Text.assemble("  AGENTPHONE_BASE_URL=", (sandbox.url, "bold")))
    _print(console, Text.assemble("  AGENTPHONE_API_KEY=", (sandbox.key, "bold")))
    _print(console, Text())
    _print(console, Text(f"Watch it in a browser, at {sandbox.page_url}, or here. Press Ctrl+C to stop."))
    _print(console, Text())


def _print(console: Console, text: Text) -> None:
    # A character that the encoding lacks, such as Japanese in cp1252, becomes a question mark.
    encoding = console.encoding
    text.plain = text.plain.encode(encoding, "replace").decode(encoding)
    console.print(text, soft_wrap=True)


def _printable(words: str) -> str:
    """Remove line breaks and control characters: a caller's words must not move the cursor or set colours."""
    return "".join(letter if letter.isprintable() else " " for letter in words)


def _request(row: Json) -> Cells:
    status: int | None = row["status"]
    if status is None:
        return (row["method"], "bold"), ("dropped", "red"), (row["path"], "")
    style = "green" if status < 300 else "yellow" if status < 500 else "red"
    return (row["method"], "bold"), (str(status), style), (row["path"], "")


def _call(row: Json) -> Cells:
    lasted = f", {row['seconds']} s" if row["seconds"] else ""
    words = f"{_short(row['id'])}  {row['direction']}, {row['from']} to {row['to']}{lasted}"
    return ("call", "blue"), (row["status"], _STATUS.get(row["status"], "red")), (words, "")


def _turn(row: Json) -> Cells:
    style = "cyan" if row["role"] == "agent" else "magenta"
    return (row["role"], style), ("", ""), (f"{_short(row['callId'])}  {row['content']}", "")


def _delivery(row: Json) -> Cells:
    status = str(row["statusCode"] or "failed")
    again = f", tried {row['attempts']} times" if row["attempts"] > 1 else ""
    words = f"{row['event']}, {row['milliseconds']} ms{again}" + (f": {row['error']}" if row["error"] else "")
    return ("webhook", "blue"), (status, "green" if row["success"] else "red"), (words, "")


def _short(call_id: str) -> str:
    """Return the end of an id, enough to tell the calls on the screen apart."""
    return call_id[-6:]


_CELLS: dict[str, Callable[[Json], Cells]] = {
    "request": _request,
    "call": _call,
    "turn": _turn,
    "message": lambda row: (
        ("text", "blue"),
        (row["status"], "green"),
        (f"{row['from']} to {row['to']}: {row['body']}", ""),
    ),
    "delivery": _delivery,
    "mail": lambda row: (("mail", "blue"), ("", ""), (f"to {row['to']}: {row['body']}", "")),
    "balance": lambda row: (("balance", "dim"), (row["balance"], ""), ("", "")),
    "reset": lambda _: (("reset", "yellow"), ("", ""), ("the account is the fresh one again", "")),
    "dropped": lambda row: (
        ("", ""),
        ("...", "yellow"),
        (f"{row['count']} lines left out: too much happened at once", "yellow"),
    ),
}
