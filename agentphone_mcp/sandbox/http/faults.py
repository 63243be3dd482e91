"""Inject faults: rules by method and path that break answers as networks and servers do.

As text, for the command line: `METHOD PATH EFFECT… [times=N|always]`. The path may have wildcards, the method may be
`*`. A rule applies once unless it says otherwise; the first matching rule is used.

| effect | what happens |
|---|---|
| `status=503` | answered with that status and a JSON error; nothing was done |
| `status=429 retry-after=1` | the same with a Retry-After, in seconds (1 if left out) |
| `delay=2` | two real seconds pass before anything else happens |
| `drop-before` | the connection is dropped; nothing was done |
| `drop-after` | the request is carried out, then the connection is dropped |
| `malformed` | the request is carried out, and half of the answer's JSON arrives |
| `cut-after=3` | three parts of the answer arrive, events of a stream, and then the connection is dropped |
"""

import asyncio
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, Literal

import httpx
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agentphone_mcp.sandbox.responses import API, Json

Drop = Literal["before", "after"]
_METHODS = ("*", "GET", "POST", "PATCH", "PUT", "DELETE")
_LONGEST_DELAY = 600


class BadFaultError(ValueError):
    """Report a rule without an effect, or with an impossible one; the message is one sentence."""


class ConnectionDroppedError(httpx.RemoteProtocolError):
    """Stand for a dropped connection in-process, where httpx raises its parent for a real one."""


@dataclass
class Fault:
    """Describe one rule. `times` is how often it still applies, None for always; `delay` is in real seconds."""

    method: str
    path: str
    status: int | None = None
    retry_after: int | None = None
    delay: float = 0
    drop: Drop | None = None
    malformed: bool = False
    cut_after: int | None = None
    times: int | None = 1

    def __post_init__(self) -> None:
        self.method = self.method.upper()
        if self.method not in _METHODS:
            raise BadFaultError(f"{self.method!r} is no method; one of {' '.join(_METHODS)} is")
        if not self.path.startswith(("/", "*")):
            raise BadFaultError(f"{self.path!r} is no path; it begins with /v1, or is *")
        if self.status is not None and not 400 <= self.status <= 599:
            raise BadFaultError(f"status={self.status} is no error; 400 to 599 are")
        if not 0 <= self.delay <= _LONGEST_DELAY:
            raise BadFaultError(f"delay={self.delay:g} is not between 0 and {_LONGEST_DELAY} seconds")
        if self.times is not None and self.times < 1:
            raise BadFaultError(f"times={self.times} is never")
        if self.retry_after is not None and (self.status is None or self.retry_after < 0):
            raise BadFaultError("retry-after needs a status, such as 429, and a number of seconds")
        if self.cut_after is not None and self.cut_after < 1:
            raise BadFaultError(f"cut-after={self.cut_after} lets nothing arrive; that is drop-before")
        effects = sum((self.status is not None, self.drop is not None, self.malformed, self.cut_after is not None))
        if effects > 1:
            raise BadFaultError(
                "only one of status, drop-before, drop-after, cut-after and malformed can happen at once"
            )
        if not effects and not self.delay:
            raise BadFaultError(
                "nothing would happen: give a status, delay, drop-before, drop-after, cut-after or malformed"
            )

    def matches(self, method: str, path: str) -> bool:
        """Tell whether the rule applies to such a request."""
        return self.method in ("*", method) and fnmatchcase(path, self.path)

    def serialize(self) -> Json:
        """Return the rule as `GET /__sandbox/faults` lists it."""
        return {
            "method": self.method,
            "path": self.path,
            "status": self.status,
            "retryAfter": self.retry_after,
            "delay": self.delay,
            "drop": self.drop,
            "malformed": self.malformed,
            "cutAfter": self.cut_after,
            "times": "always" if self.times is None else self.times,
        }


def parse(text: str) -> Fault:
    """Parse a rule, such as `GET /v1/* status=503 times=2`.

    Raises:
        BadFaultError: if the text is not a valid rule.
    """
    words = text.split()
    if len(words) < 3:
        raise BadFaultError(f"{text!r} is no rule; one is METHOD PATH EFFECT, such as 'POST /v1/numbers drop-after'")
    effects: dict[str, Any] = {}
    for word in words[2:]:
        name, equals, value = word.partition("=")
        if word in _FLAGS:
            effects |= _FLAGS[word]
        elif equals and name in _NUMBERS:
            effects[name.replace("-", "_")] = _number(name, value)
        else:
            raise BadFaultError(f"{word!r} is no effect; there are {', '.join([*_FLAGS, *_NUMBERS])}")
    return Fault(words[0], words[1], **effects)


_FLAGS: dict[str, Json] = {
    "drop-before": {"drop": "before"},
    "drop-after": {"drop": "after"},
    "malformed": {"malformed": True},
    "always": {"times": None},
}
_NUMBERS = ("status", "delay", "times", "retry-after", "cut-after")


def _number(name: str, value: str) -> float | None:
    if name == "times" and value == "always":
        return None
    try:
        number = float(value) if name == "delay" else int(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise BadFaultError(f"{name}={value} is no number")
    return number


class Faults:
    """Hold the rules in force.

    An HTTP server sets `disconnect`, which drops the connection of a client and tells whether it was found.
    """

    def __init__(self, rules: Iterable[Fault | str] = ()) -> None:
        self.rules = [parse(rule) if isinstance(rule, str) else rule for rule in rules]
        self.disconnect: Callable[[Any], bool] | None = None

    def take(self, method: str, path: str) -> Fault | None:
        """Return the first matching rule, and count down its uses."""
        for fault in self.rules:
            if fault.matches(method, path):
                if fault.times is not None:
                    fault.times -= 1
                    if not fault.times:
                        self.rules.remove(fault)
                return fault
        return None


class FaultInjection:
    """Apply the faults to requests of the API (ASGI middleware)."""

    def __init__(self, app: ASGIApp, faults: Faults) -> None:
        self._app = app
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Apply the matching rule to a request, or pass it on."""
        is_api = scope["type"] == "http" and scope["path"].startswith(API)
        fault = self._faults.take(scope["method"], scope["path"]) if is_api else None
        if fault is None:
            await self._app(scope, receive, send)
            return
        await asyncio.sleep(fault.delay)
        if fault.status is not None:
            await _refusal(fault.status, fault.retry_after)(scope, receive, send)
        elif fault.malformed:
            await self._app(scope, receive, _HalvedAnswer(send))
        elif fault.cut_after is not None:
            await self._app(
                scope, receive, _TruncatedAnswer(send, fault.cut_after, partial(self._disconnect, scope["client"]))
            )
        elif fault.drop:
            if fault.drop == "after":
                await self._app(scope, receive, _discard)
            await self._drop(scope, receive)
        else:
            await self._app(scope, receive, send)

    async def _drop(self, scope: Scope, receive: Receive) -> None:
        self._disconnect(scope["client"])
        # Returning before the server has noticed the disconnect would be an error.
        while (await receive())["type"] != "http.disconnect":
            pass

    def _disconnect(self, client: Any) -> None:
        if self._faults.disconnect is None or not self._faults.disconnect(client):
            raise ConnectionDroppedError("Server disconnected without sending a response (a fault of the sandbox).")


def _refusal(status: int, retry_after: int | None) -> JSONResponse:
    if retry_after is None and status == 429:
        retry_after = 1
    message = f"A fault of the sandbox: {status} on demand."
    code = {402: "INSUFFICIENT_BALANCE", 429: "RATE_LIMIT_EXCEEDED"}.get(status, "SANDBOX_FAULT")
    error = {"message": message, "code": code, "type": "api_error"}
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return JSONResponse({"detail": message, "error": error}, status, headers=headers)


async def _discard(_: Message) -> None:
    """Discard an answer that the client will not get."""


class _TruncatedAnswer:
    """Send the first parts of an answer, then drop the connection and ignore the rest."""

    def __init__(self, send: Send, parts: int, disconnect: Callable[[], None]) -> None:
        self._send = send
        self._left = parts
        self._disconnect = disconnect

    async def __call__(self, message: Message) -> None:
        if not self._left:
            return
        await self._send(message)
        if message.get("body"):
            self._left -= 1
            if not self._left:
                self._disconnect()


class _HalvedAnswer:
    """Send the first half of an answer's body, with a matching Content-Length."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message = {}
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        self._body += message.get("body", b"")
        if not message.get("more_body", False):
            half = self._body[: len(self._body) // 2]
            headers = [(name, value) for name, value in self._start["headers"] if name.lower() != b"content-length"]
            headers.append((b"content-length", str(len(half)).encode()))
            await self._send({**self._start, "headers": headers})
            await self._send({"type": "http.response.body", "body": half})
