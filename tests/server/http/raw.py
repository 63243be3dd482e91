"""Sends bytes as they are over a socket, reads what comes back, and says what is wrong with it."""

import json
import re
import socket
import struct
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Literal, NoReturn

PATIENCE = 20.0
"""Seconds within which whoever asked properly is owed an answer."""
_A_MOMENT = 0.05
_SILENT_STREAM = (0.6, 0.2)
"""Seconds after which a stream is left: one that has told nothing yet, and one that has."""
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) [\x20-\x7e]*")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)")
# What tells of our code, and what looks like a key.
_INSIDES = re.compile(rb'Traceback|File \\?"|site-packages|agentphone_mcp[/\\.]|lib/python')
_KEYS = re.compile(rb"sk_[a-z]+_\w+")
_WITHOUT_BODY = (204, 304)


@dataclass
class Site:
    """Where the server is, and what every request to it carries.

    Attributes:
        session: one of the handshake era that is open just now.
    """

    host: str
    port: int
    path: str
    headers: list[tuple[str, str]] = field(default_factory=list)
    session: str = ""

    @property
    def secrets(self) -> list[bytes]:
        """What no answer may hold: the credentials that were brought."""
        named = [value.split()[-1] for name, value in self.headers if name.lower() in ("authorization", "x-api-key")]
        return [value.encode() for value in named]


@dataclass
class Attack:
    """What is sent, and what becomes of the connection then.

    Attributes:
        sent: all of it.
        ending: wait for the answers; cut the connection when the first bytes of one are there, or at once; or leave it
            open without another word.
        answers: how many are read at most.
        owed: whether silence is a fault; the server may wait for the rest of what never comes.
    """

    sent: bytes
    ending: Literal["answer", "cut-answer", "cut", "left"] = "answer"
    answers: int = 1
    owed: bool = True


@dataclass
class Answer:
    """One answer, as far as it was read."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""

    def header(self, name: bytes) -> bytes:
        """The value of a header; empty without it."""
        return next((value for key, value in self.headers if key.lower() == name), b"")

    def messages(self) -> list[Any]:
        """The JSON in it, also where it comes as events."""
        kind = self.header(b"content-type")
        if kind.startswith(b"application/json"):
            return [_strict(self.body)] if self.body else []
        if kind.startswith(b"text/event-stream"):
            lines = self.body.replace(b"\r\n", b"\n").split(b"\n")[:-1]
            return [_strict(line[5:]) for line in lines if line.startswith(b"data:") and line[5:].strip()]
        return []


class BrokenAnswer(Exception):
    """What came is no HTTP; the message says why."""


class NoAnswer(Exception):
    """Nothing more came in time."""


def connect(site: Site) -> socket.socket:
    """A connection of its own."""
    connection = socket.create_connection((site.host, site.port), timeout=PATIENCE)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def cut(connection: socket.socket) -> None:
    """End a connection with a reset, as a machine does that goes away."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def exchange(site: Site, attack: Attack, left: list[socket.socket]) -> tuple[list[Answer], list[str]]:
    """Carry an attack out; its answers, and what is wrong with them.

    Args:
        site: whom it is for.
        attack: what is done.
        left: takes the connection where it is to be left open.
    """
    connection = connect(site)
    # Who refuses a large body early may close before it was sent; the answer is read all the same.
    with suppress(OSError):
        connection.sendall(attack.sent)
    if attack.ending == "left":
        left.append(connection)
        return [], []
    if attack.ending == "cut":
        cut(connection)
        return [], []
    if attack.ending == "cut-answer":
        with suppress(OSError):
            connection.settimeout(2)
            connection.recv(32)
        cut(connection)
        return [], []
    answers: list[Answer] = []
    wrong: list[str] = []
    with connection:
        reading = _Reading(connection, attack)
        try:
            while len(answers) < attack.answers and (answer := reading.answer()):
                answers.append(answer)
        except NoAnswer:
            wrong += [f"no answer within {PATIENCE:.0f} s"] if attack.owed and not answers else []
        except BrokenAnswer as broken:
            wrong.append(f"a broken answer: {broken}")
    return answers, wrong + [fault for answer in answers for fault in faults(answer, attack, site)]


def faults(answer: Answer, attack: Attack, site: Site) -> Iterable[str]:
    """What may not be in any answer."""
    told = b"\n".join([answer.body, *(name + b": " + value for name, value in answer.headers)])
    if answer.status >= 500 and answer.status != 503:
        yield f"status {answer.status}"
    if found := _INSIDES.search(told):
        yield f"it tells of our code: {told[max(0, found.start() - 40) : found.end() + 40]!r}"
    if any(key not in attack.sent for key in _KEYS.findall(told)) or any(secret in told for secret in site.secrets):
        yield "it tells a key"
    if any(name.lower() == b"x-injected" for name, _ in answer.headers):
        yield "a header of ours was let through"
    try:
        answer.messages()
    except (ValueError, RecursionError) as odd:
        yield f"it is no JSON: {odd} in {answer.body[:200]!r}"


class _Reading:
    """Reads answers off a connection, no further than they go."""

    def __init__(self, connection: socket.socket, attack: Attack) -> None:
        self._connection = connection
        self._until = monotonic() + (PATIENCE if attack.owed else _A_MOMENT)
        self._is_head = attack.sent.startswith(b"HEAD ")
        self._is_left = False
        self._buffer = b""

    def answer(self) -> Answer | None:
        """The next answer; None when the connection was closed instead, or the last one was left unfinished."""
        if self._is_left:
            return None
        head = self._upto(b"\r\n\r\n")
        if head is None:
            if self._buffer:
                raise BrokenAnswer(f"it ends in its head: {self._buffer[:100]!r}")
            return None
        first, *lines = head.split(b"\r\n")
        status = _STATUS.fullmatch(first)
        fields = [_HEADER.fullmatch(line) for line in lines]
        if not status or None in fields:
            raise BrokenAnswer(f"{head[:300]!r}")
        answer = Answer(int(status[1]), [(found[1], found[2]) for found in fields if found])
        if answer.status < 200:
            return self.answer()
        if not self._is_head and answer.status not in _WITHOUT_BODY:
            self._body(answer)
        return answer

    def _body(self, answer: Answer) -> None:
        if answer.header(b"transfer-encoding").lower() == b"chunked":
            self._chunks(answer)
        elif length := answer.header(b"content-length"):
            answer.body = self._exactly(int(length))
        else:
            with suppress(NoAnswer):
                while self._more():
                    pass
            answer.body, self._buffer = self._buffer, b""

    def _chunks(self, answer: Answer) -> None:
        streams = answer.header(b"content-type").startswith(b"text/event-stream")
        while True:
            if streams:
                self._connection.settimeout(_SILENT_STREAM[bool(answer.body)])
            try:
                size = self._upto(b"\r\n")
            except NoAnswer:
                if not streams:
                    raise
                self._is_left = True
                return
            if size is None or not re.fullmatch(rb"[0-9A-Fa-f]+", size):
                raise BrokenAnswer(f"no size of a chunk: {size!r}")
            answer.body += self._exactly(int(size, 16))
            if self._exactly(2) != b"\r\n":
                raise BrokenAnswer("a chunk does not end")
            if int(size, 16) == 0:
                return

    def _upto(self, mark: bytes) -> bytes | None:
        while mark not in self._buffer:
            if not self._more():
                return None
        found, self._buffer = self._buffer.split(mark, 1)
        return found

    def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            if not self._more():
                raise BrokenAnswer(f"it is cut short: {len(self._buffer)} bytes of {size}")
        found, self._buffer = self._buffer[:size], self._buffer[size:]
        return found

    def _more(self) -> bool:
        left = self._until - monotonic()
        if left <= 0:
            raise NoAnswer
        silent = self._connection.gettimeout() or PATIENCE
        self._connection.settimeout(min(left, silent))
        try:
            came = self._connection.recv(65_536)
        except TimeoutError:
            raise NoAnswer from None
        except OSError:
            return False
        self._buffer += came
        return bool(came)


def _strict(text: bytes) -> Any:
    """JSON as the standard has it: Python's NaN and Infinity are none."""

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is no JSON")

    return json.loads(text.decode("utf-8"), parse_constant=refuse)
