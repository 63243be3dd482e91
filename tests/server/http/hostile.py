"""Send thousands of hostile requests to a server on this machine: `python tests/server/http/hostile.py --url URL`.

A seed and a number always make the same request, so that it can be sent again: `--seed 1 --only 4711`. Every response
must be HTTP, and JSON if it says so; none may be a 5xx other than 503, reveal our code, or hold a key. After each
hundred, valid requests of both eras must succeed. With `--pid` the memory of the server is read after a warm-up round
and after each round. With `--log` the lines in that file, the server's stderr, are counted by kind of request, and a
traceback there is a fault. With `--sandbox` it is a sandbox that is attacked, at `http://127.0.0.1:PORT/v1/contacts`
with its key in `--header`. The exit code is 1 if there was a fault.
"""

import argparse
import ipaddress
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from socket import socket
from urllib.parse import urlsplit

from tests.server.http.attacker import Attacker
from tests.server.http.fuzz_values import CALL, INITIALIZE
from tests.server.http.http_attacks import HTTP_ATTACKS
from tests.server.http.protocol_attacks import PROTOCOL_ATTACKS
from tests.server.http.raw_http import Attack, Response, Site, exchange
from tests.server.http.sandbox_attacks import SANDBOX_ATTACKS

KINDS = {kind.__name__: kind for kind in (*PROTOCOL_ATTACKS, *HTTP_ATTACKS)}
KINDS_FOR_A_SANDBOX = {kind.__name__: kind for kind in (*SANDBOX_ATTACKS, *HTTP_ATTACKS)}
CHECK_EVERY = 100
MOST_LEFT_OPEN = 400
"""More than a server lets one address have, so that some have to make place."""
MOST_GROWTH_MIB = 2.0
_SETTLING = 1.0
_SHOWN = 700
_UNTIL_LOGGED = 0.02
"""Seconds after which the server has logged an unanswered request."""
# The last line of a traceback, also in an exception group.
_RAISED = re.compile(
    r"^[ |]*((?:[a-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Disconnect|Resource|Group)\b.*)$", re.MULTILINE
)


_OF_A_SERVER = (("/healthz", "GET"), ("/readyz", "GET"))
# The account grows by what is written, and is the fresh one again after a reset.
_OF_A_SANDBOX = (("/", "GET"), ("/v1/usage", "GET"), ("/__sandbox/view", "GET"), ("/__sandbox/reset", "POST"))


class ValidRequestFailed(Exception):
    """A valid request was not answered correctly."""


class Run:
    """A run against header server.

    Attributes:
        faults: how often each fault occurred, by the kind of request.
        examples: the number of the first request with each fault.
        logged: how many lines the server logged, by the kind of request before them.
    """

    def __init__(self, site: Site, seed: int, kinds: list[str], log: Path | None, *, is_sandbox: bool = False) -> None:
        self._is_sandbox = is_sandbox
        self._probes = _OF_A_SANDBOX if is_sandbox else _OF_A_SERVER
        self.site, self._seed, self._kinds, self._log = site, seed, kinds, log
        self.faults: Counter[tuple[str, str]] = Counter()
        self.examples: dict[tuple[str, str], int] = {}
        self.logged: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self._read = log.stat().st_size if log else 0
        self._left: list[socket] = []
        self._opened: list[str] = []
        self._is_left_hanging = False

    def attack(self, number: int) -> tuple[str, Attack]:
        kind = self._kinds[number % len(self._kinds)]
        return kind, (KINDS | KINDS_FOR_A_SANDBOX)[kind](Attacker(f"{self._seed}/{number}", self.site))

    def execute(self, number: int) -> tuple[Attack, list[Response], list[str]]:
        kind, attack = self.attack(number)
        try:
            answers, problems = exchange(self.site, attack, self._left)
        except OSError as exc:
            answers, problems = [], [f"no connection: {exc}"]
        for answer in answers:
            self.statuses[str(answer.status)] += 1
            self._note_session(answer)
        if not answers and attack.ending == "answer":
            self.statuses["closed"] += 1
        if self._log and (attack.ending != "answer" or not attack.owed):
            self._is_left_hanging = True
            time.sleep(_UNTIL_LOGGED)
        for fault in problems + self._errors_in_log(kind):
            self.faults[kind, fault] += 1
            self.examples.setdefault((kind, fault), number)
        while len(self._left) > MOST_LEFT_OPEN:
            self._left.pop(0).close()
        return attack, answers, problems

    def round(self, first: int, count: int) -> None:
        """Send so many requests, and valid ones in between."""
        for number in range(first, first + count):
            if number % CHECK_EVERY == 0:
                self.check_valid_requests()
            self.execute(number)
        self.check_valid_requests()
        time.sleep(_SETTLING / 20 if count < CHECK_EVERY else _SETTLING)

    def check_valid_requests(self) -> None:
        """Check that valid requests succeed, of both eras; end old sessions and open one for the next requests."""
        for path, verb in self._probes:
            self._ask_for(path, verb)
        if self._is_sandbox:
            return
        for era in ("modern", "legacy"):
            at = Attacker("honest", self.site)
            at.era = era
            if era == "legacy":
                self._initialize(at)
            listed = self._ask(at, at.message("tools/list", {}))
            called = self._ask(at, at.message("tools/call", CALL))
            if '"get_call"' not in listed or "call_past01" not in called or '"isError": true' in called:
                raise ValidRequestFailed(f"{era}: {listed[:_SHOWN]} {called[:_SHOWN]}")
        for session in self._opened[:-1]:
            self._end(session)
        del self._opened[:-1]

    def close(self) -> None:
        """Close the connections and sessions that were left open."""
        for connection in self._left:
            connection.close()
        for session in self._opened:
            self._end(session)
        time.sleep(_UNTIL_LOGGED * (10 if self._is_left_hanging else 0))
        for fault in self._errors_in_log("left"):
            self.faults["left", fault] += 1

    def _ask_for(self, path: str, verb: str) -> None:
        at = Attacker("honest", self.site)
        lines = [at.host, ("Content-Length", "0"), *self.site.headers]
        text = "".join(f"{name}: {value}\r\n" for name, value in lines)
        answers, problems = exchange(self.site, Attack(f"{verb} {path} HTTP/1.1\r\n{text}\r\n".encode()), [])
        if problems or not answers or answers[0].status != 200:
            raise ValidRequestFailed(f"{verb} {path}: {problems} {answers}")

    def _initialize(self, at: Attacker) -> None:
        initialize = at.message("initialize", INITIALIZE)
        headers = [header for header in at.headers(initialize) if header[0] != "Mcp-Session-Id"]
        answers, problems = exchange(self.site, Attack(at.post(json.dumps(initialize).encode(), headers)), [])
        self.site.session = answers[0].header(b"mcp-session-id").decode() if answers else ""
        if problems or not self.site.session:
            raise ValidRequestFailed(f"initialize: {answers} {problems}")
        self._note_session(answers[0])
        exchange(self.site, Attack(at.send(at.message("notifications/initialized", {}))), [])

    def _ask(self, at: Attacker, message: object) -> str:
        attack = Attack(at.send(message))
        answers, problems = exchange(self.site, attack, [])
        if problems or not answers or answers[0].status != 200:
            raise ValidRequestFailed(f"{attack.sent[:_SHOWN]!r}: {problems} {answers}")
        return json.dumps(answers[0].messages())

    def _note_session(self, answer: Response) -> None:
        session = answer.header(b"mcp-session-id").decode("latin-1")
        if session and answer.status == 200 and session not in self._opened:
            self._opened.append(session)

    def _end(self, session: str) -> None:
        at = Attacker("honest", self.site)
        lines = [at.host, ("Mcp-Session-Id", session), ("Content-Length", "0"), *self.site.headers]
        text = "".join(f"{name}: {value}\r\n" for name, value in lines)
        with suppress(OSError):
            exchange(self.site, Attack(f"DELETE {self.site.path} HTTP/1.1\r\n{text}\r\n".encode()), [])

    def _errors_in_log(self, kind: str) -> list[str]:
        if not self._log or self._log.stat().st_size == self._read:
            return []
        with self._log.open("rb") as log:
            log.seek(self._read)
            lines = log.read()
            self._read = log.tell()
        self.logged[kind] += lines.count(b"\n")
        errors = _RAISED.findall(lines.decode("utf-8", "replace")) if b"Traceback" in lines else []
        return [f"in the log: {error[:200]}" for error in dict.fromkeys(errors)]


def memory(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


def loopback(url: str) -> Site:
    """Parse the URL, which must be on this machine."""
    at = urlsplit(url)
    if not at.hostname or not at.port or not ipaddress.ip_address(at.hostname).is_loopback:
        raise SystemExit(f"{url} is no address of this machine with a port")
    return Site(at.hostname, at.port, at.path)


def report(run: Run) -> None:
    print("answers: " + ", ".join(f"{count} x {status}" for status, count in sorted(run.statuses.items())))
    if run.logged:
        print("lines in the log after: " + ", ".join(f"{kind} {count}" for kind, count in run.logged.most_common()))
    for (kind, fault), count in run.faults.most_common():
        number = run.examples.get((kind, fault))
        example = f" e.g. number {number}: {run.attack(number)[1].sent[:_SHOWN]!r}" if number is not None else ""
        print(f"WRONG {count} x {kind}: {fault};{example}")


def main(arguments: Sequence[str] | None = None) -> None:
    sys.set_int_max_str_digits(0)  # the requests hold numbers of thousands of digits
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--url", required=True)
    parser.add_argument("--requests", type=int, default=10_000, help="in a round")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", choices=KINDS | KINDS_FOR_A_SANDBOX, action="append", help="only these")
    parser.add_argument("--sandbox", action="store_true", help="it is a sandbox")
    parser.add_argument("--only", type=int, help="send the request of this number, and print it and its answers")
    parser.add_argument("--header", action="append", default=[], metavar="NAME: VALUE", help="in every request")
    parser.add_argument("--pid", type=int)
    parser.add_argument("--log", type=Path)
    options = parser.parse_args(arguments)
    site = loopback(options.url)
    site.headers = [
        (name.strip(), value.strip()) for name, _, value in (header.partition(":") for header in options.header)
    ]
    kinds = options.kind or list(KINDS_FOR_A_SANDBOX if options.sandbox else KINDS)
    run = Run(site, options.seed, kinds, options.log, is_sandbox=options.sandbox)
    try:
        if options.only is not None:
            run.check_valid_requests()
            attack, answers, problems = run.execute(options.only)
            print(attack.ending, attack.sent[:5_000], *answers, *problems, sep="\n")
            return
        memory_mib: list[float] = []
        for number in range(options.rounds + (1 if options.pid else 0)):
            started = time.monotonic()
            run.round(number * options.requests, options.requests)
            if options.pid:
                memory_mib.append(memory(options.pid))
            print(
                f"round {number}: {time.monotonic() - started:.0f} s"
                + (f", {memory_mib[-1]:.1f} MiB" if memory_mib else ""),
                flush=True,
            )
        # Memory varies with large bodies; a leak makes the last round larger than all before it.
        if len(memory_mib) > 1 and memory_mib[-1] - max(memory_mib[:-1]) >= MOST_GROWTH_MIB:
            run.faults["memory", f"the last round took {memory_mib[-1] - max(memory_mib[:-1]):.1f} MiB more"] += 1
    except ValidRequestFailed as exc:
        run.faults["valid requests", f"not answered: {exc}"] += 1
    finally:
        run.close()
    report(run)
    sys.exit(1 if run.faults else 0)


if __name__ == "__main__":
    main()
