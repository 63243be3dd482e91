"""Thousands of hostile requests to a server on this machine: `python tests/hosting/hostile.py --url URL [--pid PID]`.

Each is made from the seed and its number alone and can be sent again: `--seed 1 --only 4711`. Every answer is to be
HTTP and, where it says so, JSON; none may be a 5xx other than 503, tell of our code, or hold a key; and after each
hundred good requests of both eras have to be answered. With `--pid` the memory of the server is read after a first
round that warms it up, and after each round; with `--log` whatever appears in the file that the server's stderr goes to
is counted by the kind of request, and a traceback there is a fault. Ends with 1 when there was a fault.
"""

import argparse
import ipaddress
import json
import re
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from socket import socket
from urllib.parse import urlsplit

from attacks import MESSAGES, Attacker
from junk import CALL, HELLO
from raw import Answer, Attack, Site, exchange
from wires import WIRES

KINDS = {kind.__name__: kind for kind in (*MESSAGES, *WIRES)}
EACH = 100
MOST_LEFT_OPEN = 200
MOST_GROWTH_MIB = 2.0
_SETTLING = 1.0
_SHOWN = 700
_UNTIL_LOGGED = 0.02
"""Seconds after which a server has logged what it had to say of a request that it did not answer."""
# The last line of a traceback, also where several are told at once.
_RAISED = re.compile(
    r"^[ |]*((?:[a-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Disconnect|Resource|Group)\b.*)$", re.MULTILINE
)


class Unwell(Exception):
    """A good request was not answered as it should be."""


class Run:
    """One run against one server.

    Attributes:
        found: what was wrong, with an example and how often, by the kind and the fault.
        logged: lines that the server logged, by the kind of request that they appeared after.
    """

    def __init__(self, site: Site, seed: int, kinds: list[str], log: Path | None) -> None:
        self.site, self._seed, self._kinds, self._log = site, seed, kinds, log
        self.found: Counter[tuple[str, str]] = Counter()
        self.examples: dict[tuple[str, str], int] = {}
        self.logged: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self._read = log.stat().st_size if log else 0
        self._left: list[socket] = []
        self._opened: list[str] = []
        self._is_left_hanging = False

    def attack(self, number: int) -> tuple[str, Attack]:
        """The request of a number, and its kind."""
        kind = self._kinds[number % len(self._kinds)]
        return kind, KINDS[kind](Attacker(f"{self._seed}/{number}", self.site))

    def execute(self, number: int) -> tuple[Attack, list[Answer], list[str]]:
        """Send a request and note what came of it."""
        kind, attack = self.attack(number)
        try:
            answers, wrong = exchange(self.site, attack, self._left)
        except OSError as refused:
            answers, wrong = [], [f"no connection: {refused}"]
        for answer in answers:
            self.statuses[str(answer.status)] += 1
            self._note_session(answer)
        if not answers and attack.ending == "answer":
            self.statuses["closed"] += 1
        if self._log and (attack.ending != "answer" or not attack.owed):
            self._is_left_hanging = True
            time.sleep(_UNTIL_LOGGED)
        for fault in wrong + self._news_of_the_log(kind):
            self.found[kind, fault] += 1
            self.examples.setdefault((kind, fault), number)
        while len(self._left) > MOST_LEFT_OPEN:
            self._left.pop(0).close()
        return attack, answers, wrong

    def round(self, first: int, count: int) -> None:
        """Send so many requests, with good ones in between."""
        for number in range(first, first + count):
            if number % EACH == 0:
                self.between()
            self.execute(number)
        self.between()
        time.sleep(_SETTLING / 20 if count < EACH else _SETTLING)

    def between(self) -> None:
        """See that honest clients of both eras are served; end what was opened, open a session for what follows."""
        for era in ("modern", "legacy"):
            at = Attacker("honest", self.site)
            at.era = era
            if era == "legacy":
                self._shake_hands(at)
            listed = self._ask(at, at.message("tools/list", {}))
            called = self._ask(at, at.message("tools/call", CALL))
            if '"get_call"' not in listed or "call_past01" not in called or '"isError": true' in called:
                raise Unwell(f"{era}: {listed[:_SHOWN]} {called[:_SHOWN]}")
        for session in self._opened[:-1]:
            self._end(session)
        del self._opened[:-1]

    def close(self) -> None:
        """Leave nothing behind."""
        for connection in self._left:
            connection.close()
        for session in self._opened:
            self._end(session)
        time.sleep(_UNTIL_LOGGED * (10 if self._is_left_hanging else 0))
        for fault in self._news_of_the_log("left"):
            self.found["left", fault] += 1

    def _shake_hands(self, at: Attacker) -> None:
        hello = at.message("initialize", HELLO)
        kept = [header for header in at.headers(hello) if header[0] != "Mcp-Session-Id"]
        answers, wrong = exchange(self.site, Attack(at.post(json.dumps(hello).encode(), kept)), [])
        self.site.session = answers[0].header(b"mcp-session-id").decode() if answers else ""
        if wrong or not self.site.session:
            raise Unwell(f"initialize: {answers} {wrong}")
        self._note_session(answers[0])
        exchange(self.site, Attack(at.send(at.message("notifications/initialized", {}))), [])

    def _ask(self, at: Attacker, message: object) -> str:
        attack = Attack(at.send(message))
        answers, wrong = exchange(self.site, attack, [])
        if wrong or not answers or answers[0].status != 200:
            raise Unwell(f"{attack.sent[:_SHOWN]!r}: {wrong} {answers}")
        return json.dumps(answers[0].messages())

    def _note_session(self, answer: Answer) -> None:
        session = answer.header(b"mcp-session-id").decode("latin-1")
        if session and answer.status == 200 and session not in self._opened:
            self._opened.append(session)

    def _end(self, session: str) -> None:
        at = Attacker("honest", self.site)
        lines = [at.host, ("Mcp-Session-Id", session), ("Content-Length", "0"), *self.site.headers]
        text = "".join(f"{name}: {value}\r\n" for name, value in lines)
        with suppress(OSError):
            exchange(self.site, Attack(f"DELETE {self.site.path} HTTP/1.1\r\n{text}\r\n".encode()), [])

    def _news_of_the_log(self, kind: str) -> list[str]:
        if not self._log or self._log.stat().st_size == self._read:
            return []
        with self._log.open("rb") as log:
            log.seek(self._read)
            news = log.read()
            self._read = log.tell()
        self.logged[kind] += news.count(b"\n")
        errors = _RAISED.findall(news.decode("utf-8", "replace")) if b"Traceback" in news else []
        return [f"in the log: {error[:200]}" for error in dict.fromkeys(errors)]


def memory(pid: int) -> float:
    """What a process holds, in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


def loopback(url: str) -> Site:
    """Where that is; nobody else's machine is attacked."""
    at = urlsplit(url)
    if not at.hostname or not at.port or not ipaddress.ip_address(at.hostname).is_loopback:
        raise SystemExit(f"{url} is no address of this machine with a port")
    return Site(at.hostname, at.port, at.path)


def report(run: Run) -> None:
    """Print what was found."""
    print("answers: " + ", ".join(f"{count} x {status}" for status, count in sorted(run.statuses.items())))
    if run.logged:
        print("lines in the log after: " + ", ".join(f"{kind} {count}" for kind, count in run.logged.most_common()))
    for (kind, fault), count in run.found.most_common():
        number = run.examples.get((kind, fault))
        example = f" e.g. number {number}: {run.attack(number)[1].sent[:_SHOWN]!r}" if number is not None else ""
        print(f"WRONG {count} x {kind}: {fault};{example}")


def main() -> None:
    """Attack."""
    asked = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    asked.add_argument("--url", required=True)
    asked.add_argument("--requests", type=int, default=10_000, help="in a round")
    asked.add_argument("--rounds", type=int, default=1)
    asked.add_argument("--seed", type=int, default=1)
    asked.add_argument("--kind", choices=KINDS, action="append", help="only these")
    asked.add_argument("--only", type=int, help="send the request of this number, and print it and its answers")
    asked.add_argument("--header", action="append", default=[], metavar="NAME: VALUE", help="in every request")
    asked.add_argument("--pid", type=int)
    asked.add_argument("--log", type=Path)
    given = asked.parse_args()
    site = loopback(given.url)
    site.headers = [(name.strip(), value.strip()) for name, _, value in (one.partition(":") for one in given.header)]
    run = Run(site, given.seed, given.kind or list(KINDS), given.log)
    try:
        if given.only is not None:
            run.between()
            attack, answers, wrong = run.execute(given.only)
            print(attack.ending, attack.sent[:5_000], *answers, *wrong, sep="\n")
            return
        held: list[float] = []
        for number in range(given.rounds + (1 if given.pid else 0)):
            started = time.monotonic()
            run.round(number * given.requests, given.requests)
            if given.pid:
                held.append(memory(given.pid))
            print(
                f"round {number}: {time.monotonic() - started:.0f} s" + (f", {held[-1]:.1f} MiB" if held else ""),
                flush=True,
            )
        # Bodies of megabytes come and go, so that it sways; what leaks ends above all that was before.
        if len(held) > 1 and held[-1] - max(held[:-1]) >= MOST_GROWTH_MIB:
            run.found["memory", f"the last round took {held[-1] - max(held[:-1]):.1f} MiB more"] += 1
    except Unwell as unwell:
        run.found["good requests", f"not answered: {unwell}"] += 1
    finally:
        run.close()
    report(run)
    sys.exit(1 if run.found else 0)


if __name__ == "__main__":
    main()
