"""Send bytes over a socket as they are, read the HTTP responses, and check them."""

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
"""Seconds within which a valid request must be answered."""
_A_MOMENT = 0.05
_SILENT_STREAM = (0.6, 0.2)
"""Seconds without data after which a stream is left: before and after its first message."""
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) [\x20-\x7e]*")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)")
# Traces of our code, and what looks like a key.
_INTERNALS = re.compile(rb'Traceback|File \\?"|site-packages|agentphone_mcp[/\\.]|lib/python')
_KEYS = re.compile(rb"sk_[a-z]+_\w+")
_WITHOUT_BODY = (204, 304)


@dataclass
class Site:
    """The server, and the headers of every request to it.

    Attributes:
        session: the id of an open session of the older protocol.
    """

    host: str
    port: int
    path: str
    headers: list[tuple[str, str]] = field(default_factory=list)
    session: str = ""

    @property
    def secrets(self) -> list[bytes]:
        """Return the credentials that were sent, which no response may hold."""
        named = [value.split()[-1] for name, value in self.headers if name.lower() in ("authorization", "x-api-key")]
        return [value.encode() for value in named]


@dataclass
class Attack:
    """What is sent, and how the connection ends.

    Attributes:
        sent: all bytes.
        ending: read the responses; reset the connection after the first bytes of a response, or at once; or leave it
            open.
        answers: how many responses are read at most.
        owed: whether no response is a problem; the server may wait for the rest of an incomplete request.
    """

    sent: bytes
    ending: Literal["answer", "cut-answer", "cut", "left"] = "answer"
    answers: int = 1
    owed: bool = True


@dataclass
class Response:
    """One response, as far as it was read."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""

    def header(self, name: bytes) -> bytes:
        return next((value for key, value in self.headers if key.lower() == name), b"")

    def messages(self) -> list[Any]:
        """Return the JSON messages in the body, also from an event stream."""
        content_type = self.header(b"content-type")
        if content_type.startswith(b"application/json"):
            return [_strict_json(self.body)] if self.body else []
        if content_type.startswith(b"text/event-stream"):
            lines = self.body.replace(b"\r\n", b"\n").split(b"\n")[:-1]
            return [_strict_json(line[5:]) for line in lines if line.startswith(b"data:") and line[5:].strip()]
        return []


class InvalidResponse(Exception):
    """The response is no HTTP; the message says why."""


class ResponseTimeout(Exception):
    """Nothing more arrived in time."""


def connect(site: Site) -> socket.socket:
    connection = socket.create_connection((site.host, site.port), timeout=PATIENCE)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def cut(connection: socket.socket) -> None:
    """Reset a connection, as when a machine goes away."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def exchange(site: Site, attack: Attack, left: list[socket.socket]) -> tuple[list[Response], list[str]]:
    """Carry out an attack; return the responses, and what is wrong with them.

    Args:
        site: the server.
        attack: what is sent.
        left: receives the connection if it is to be left open.
    """
    connection = connect(site)
    # The server may refuse a large body and close before it was sent; the response is still read.
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
    answers: list[Response] = []
    problems: list[str] = []
    with connection:
        reading = _Reading(connection, attack)
        try:
            while len(answers) < attack.answers and (answer := reading.answer()):
                answers.append(answer)
        except ResponseTimeout:
            problems += [f"no answer within {PATIENCE:.0f} s"] if attack.owed and not answers else []
        except InvalidResponse as exc:
            problems.append(f"an invalid answer: {exc}")
    return answers, problems + [fault for answer in answers for fault in faults(answer, attack, site)]


def faults(answer: Response, attack: Attack, site: Site) -> Iterable[str]:
    """Return what no response may contain."""
    everything = b"\n".join([answer.body, *(name + b": " + value for name, value in answer.headers)])
    if answer.status >= 500 and answer.status != 503:
        yield f"status {answer.status}"
    if match := _INTERNALS.search(everything):
        yield f"it reveals our code: {everything[max(0, match.start() - 40) : match.end() + 40]!r}"
    if any(key not in attack.sent for key in _KEYS.findall(everything)) or any(
        secret in everything for secret in site.secrets
    ):
        yield "it reveals a key"
    if any(name.lower() == b"x-injected" for name, _ in answer.headers):
        yield "an injected header was let through"
    try:
        answer.messages()
    except (ValueError, RecursionError) as exc:
        yield f"it is no JSON: {exc} in {answer.body[:200]!r}"


class _Reading:
    """Reads responses from a connection, and no bytes after them."""

    def __init__(self, connection: socket.socket, attack: Attack) -> None:
        self._connection = connection
        self._deadline = monotonic() + (PATIENCE if attack.owed else _A_MOMENT)
        self._is_head = attack.sent.startswith(b"HEAD ")
        self._is_left = False
        self._buffer = b""

    def answer(self) -> Response | None:
        """Return the next response; None if the connection was closed, or the last stream was left."""
        if self._is_left:
            return None
        head = self._upto(b"\r\n\r\n")
        if head is None:
            if self._buffer:
                raise InvalidResponse(f"it ends in its head: {self._buffer[:100]!r}")
            return None
        first, *lines = head.split(b"\r\n")
        status = _STATUS.fullmatch(first)
        fields = [_HEADER.fullmatch(line) for line in lines]
        if not status or None in fields:
            raise InvalidResponse(f"{head[:300]!r}")
        answer = Response(int(status[1]), [(match[1], match[2]) for match in fields if match])
        if answer.status < 200:
            return self.answer()
        if not self._is_head and answer.status not in _WITHOUT_BODY:
            self._body(answer)
        return answer

    def _body(self, answer: Response) -> None:
        if answer.header(b"transfer-encoding").lower() == b"chunked":
            self._chunks(answer)
        elif length := answer.header(b"content-length"):
            answer.body = self._exactly(int(length))
        else:
            with suppress(ResponseTimeout):
                while self._more():
                    pass
            answer.body, self._buffer = self._buffer, b""

    def _chunks(self, answer: Response) -> None:
        streams = answer.header(b"content-type").startswith(b"text/event-stream")
        while True:
            if streams:
                self._connection.settimeout(_SILENT_STREAM[bool(answer.body)])
            try:
                size = self._upto(b"\r\n")
            except ResponseTimeout:
                if not streams:
                    raise
                self._is_left = True
                return
            if size is None or not re.fullmatch(rb"[0-9A-Fa-f]+", size):
                raise InvalidResponse(f"no size of a chunk: {size!r}")
            answer.body += self._exactly(int(size, 16))
            if self._exactly(2) != b"\r\n":
                raise InvalidResponse("a chunk does not end")
            if int(size, 16) == 0:
                return

    def _upto(self, mark: bytes) -> bytes | None:
        while mark not in self._buffer:
            if not self._more():
                return None
        match, self._buffer = self._buffer.split(mark, 1)
        return match

    def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            if not self._more():
                raise InvalidResponse(f"it is cut short: {len(self._buffer)} bytes of {size}")
        match, self._buffer = self._buffer[:size], self._buffer[size:]
        return match

    def _more(self) -> bool:
        left = self._deadline - monotonic()
        if left <= 0:
            raise ResponseTimeout
        timeout = self._connection.gettimeout() or PATIENCE
        self._connection.settimeout(min(left, timeout))
        try:
            data = self._connection.recv(65_536)
        except TimeoutError:
            raise ResponseTimeout from None
        except OSError:
            return False
        self._buffer += data
        return bool(data)


def _strict_json(text: bytes) -> Any:
    """Parse JSON without Python's NaN and Infinity."""

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is no JSON")

    return json.loads(text.decode("utf-8"), parse_constant=refuse)
