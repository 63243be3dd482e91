"""What a call costs over stdio beside the bare request, and the memory of whoever answers it."""

import itertools
import sqlite3
import tempfile
from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path

from figures import Budget, Figure, p95, paired, timed, turn_about
from processes import NO_CAPS, ONE_TOOL, OURS, Host, host_of, memory, sandbox

FRIEND, FROM = "+14155559999", "num_frontdesk"
LATENCY = 0.2
_AIM_IN_NO_OPS = 1.61
"""One millisecond, where the aim was set: a no-op of the SDK took 0.62 there. How fast a machine is does not count."""


def calls(quick: bool) -> Generator[Figure]:
    """A read, a text through the gate, and a call that does nothing, beside the bare requests."""
    # Every cap is counted and none is reached.
    caps = {"AGENTPHONE_LIMITS": "messages=9999/hour,messages_to_one_number=9999/day,spend=9999/day"}
    with sandbox() as account, account.asked_directly() as http, tempfile.TemporaryDirectory() as state:
        told = account.told | caps | {"AGENTPHONE_STATE": state}
        path, number = f"/v1/calls/{account.call_id}", itertools.count()

        def bare_text() -> None:
            text = {"number_id": FROM, "to_number": FRIEND, "body": f"bare {next(number)}"}
            http.post("/v1/messages", json=text).raise_for_status()

        def gated_text(host: Host) -> None:
            host.call("send_message", to_number=FRIEND, number_id=FROM, body=f"gated {next(number)}", confirm=True)

        with host_of("ours", *OURS, told=told) as ours, host_of("one tool", *ONE_TOOL, told=told) as least:
            ours.shake_hands(), least.shake_hands()
            sides: dict[str, Callable[[], object]] = {
                "bare read": lambda: http.get(path).raise_for_status(),
                "read": partial(ours.call, "get_call", call_id=account.call_id),
                "nothing": partial(least.call, "nothing"),
                "bare text": bare_text,
                "text": partial(gated_text, ours),
                "commits": _Commits(Path(state)).two,
            }
            rounds = 20 if quick else 300
            took = turn_about({name: timed(deed) for name, deed in sides.items()}, rounds, warm=5)
    beside = "bare httpx request"
    yield paired("calls", "get_call", "ms", took["read"], took["bare read"], beside, Budget("more", 1.0))
    yield _slowest("get_call", took["read"], took["bare read"], beside)
    yield paired("calls", "get_call, again", "ms", took["read"], took["nothing"], "one-tool server, no-op")
    more = [read - bare for read, bare in zip(took["read"], took["bare read"], strict=True)]
    yield paired(
        *("calls", "get_call, less its request", "ms", more, took["nothing"], "one-tool server, no-op"),
        Budget("ratio", _AIM_IN_NO_OPS),
    )
    # A call's own millisecond, and five for the gate and the ledger.
    yield paired("calls", "gated send_message", "ms", took["text"], took["bare text"], beside, Budget("more", 6.0))
    yield _slowest("gated send_message", took["text"], took["bare text"], beside)
    yield paired("calls", "gated send_message, again", "ms", took["text"], took["commits"], "two empty commits")


def _slowest(name: str, ours: list[float], floors: list[float], beside: str) -> Figure:
    one, other = p95(ours), p95(floors)
    return Figure("calls", f"{name}, p95", "ms", one, other, beside, one / other)


class _Commits:
    """Durable commits of SQLite to the disk that the ledger is on, which makes two: before and after a deed."""

    def __init__(self, folder: Path) -> None:
        self._connection = sqlite3.connect(folder / "floor.sqlite3", isolation_level=None)
        for line in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "CREATE TABLE one (at REAL)"):
            self._connection.execute(line)

    def two(self) -> None:
        """Commit twice."""
        for _ in range(2):
            self._connection.execute("INSERT INTO one VALUES (0)")


def overview(quick: bool) -> Generator[Figure]:
    """It asks a slow API for four things, and should cost the time of one."""
    with sandbox() as account, account.asked_directly() as http, tempfile.TemporaryDirectory() as state:
        rule = {"rule": f"GET /v1/* delay={LATENCY} always"}
        http.post("/__sandbox/faults", json=rule).raise_for_status()
        with host_of("ours", *OURS, told=account.told | {"AGENTPHONE_STATE": state}) as ours:
            ours.shake_hands()
            sides: dict[str, Callable[[], object]] = {
                "bare": lambda: http.get("/v1/usage").raise_for_status(),
                "ours": partial(ours.call, "account_overview"),
            }
            took = turn_about({name: timed(deed) for name, deed in sides.items()}, 3 if quick else 15, warm=1)
    beside = f"one request of {LATENCY * 1000:.0f} ms"
    yield paired("overview", "account_overview", "ms", took["ours"], took["bare"], beside, Budget("ratio", 1.3))


def memories(quick: bool) -> Generator[Figure]:
    """The most that a server over stdio ever had: when the tools are listed, and after a hundred calls."""
    with sandbox() as account, tempfile.TemporaryDirectory() as state:
        told = account.told | {"AGENTPHONE_STATE": state, "AGENTPHONE_LIMITS": NO_CAPS}
        sides = {
            "ours": partial(_peaks, OURS, told, "get_call", {"call_id": account.call_id}),
            "one tool": partial(_peaks, ONE_TOOL, told, "nothing", {}),
        }
        took = turn_about(sides, 1 if quick else 3)
    ours, least = (list(zip(*took[name], strict=True)) for name in sides)
    budget = Budget("more", 25)
    yield paired("memory", "after tools/list", "MiB", ours[0], least[0], "one-tool server", budget)
    yield paired("memory", "after 100 calls", "MiB", ours[1], least[1], "one-tool server, no-op", budget)


def _peaks(command: tuple[str, ...], told: dict[str, str], tool: str, arguments: dict[str, str]) -> list[float]:
    with host_of(tool, *command, told=told) as host:
        host.shake_hands()
        host.list_tools()
        peaks = [memory(host.pid, "VmHWM")]
        for _ in range(100):
            host.call(tool, **arguments)
        return [*peaks, memory(host.pid, "VmHWM")]
