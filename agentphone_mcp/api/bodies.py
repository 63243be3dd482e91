"""Bound the bodies of responses, as they arrive and as they are unpacked.

httpx unpacks each part as a whole, and 64 KB of gzip may hold 64 MB. So bodies are unpacked here, piece by piece.
"""

import zlib
from collections.abc import AsyncIterator, Iterator

import httpx

LARGEST_JSON = 8 * 1024 * 1024
"""Bytes: a hundred agents with the longest prompts, many times over."""
LARGEST_AUDIO = 16 * 1024 * 1024
"""Bytes: a quarter of an hour of uncompressed telephone audio. In an answer to a client it takes five times as much."""
LARGEST_ERROR = 256 * 1024
LARGEST_STREAM = 8 * 1024 * 1024
LARGEST_EVENT = 256 * 1024
IS_CUT = "agentphone.cut"
"""The response extension that says that an error's body was not read to its end."""
_STEP = 64 * 1024
_ENDS_OF_EVENTS = (b"\n\n", b"\r\r", b"\r\n\r\n")


class BodyRefused(Exception):
    """Says why the rest of a body is not read."""

    def __init__(self, reason: str, response: httpx.Response, *, is_too_large: bool = True) -> None:
        super().__init__(reason)
        self.response = response
        self.is_too_large = is_too_large


async def read_body(response: httpx.Response, largest: int) -> None:
    """Read a body of at most so many bytes; of an error as much as fits, as its status says the most.

    Raises:
        BodyRefused: if a success has more, or is packed in a way that was not asked for.
    """
    if response.is_success:
        bound(response, largest)
        await response.aread()
        return
    try:
        bound(response, LARGEST_ERROR)
        await response.aread()
    except BodyRefused:
        response.extensions[IS_CUT] = True


def bound(response: httpx.Response, largest: int, *, largest_event: int | None = None) -> None:
    """Bound a body that was not read yet, and in a stream of server-sent events each of them.

    Raises:
        BodyRefused: if its headers say that it is too large, or packed in a way that was not asked for. Whoever reads
            it may meet the same error.
    """
    length = response.headers.get("Content-Length", "")
    if length.isdecimal() and int(length[:20]) > largest:
        raise _too_large(response, largest)
    packed = response.headers.pop("Content-Encoding", "").lower().replace("identity", "")
    coding = packed.strip(" ,")
    if coding not in ("", "gzip", "x-gzip", "deflate"):
        raise BodyRefused("it is packed in a way that was not asked for", response, is_too_large=False)
    if isinstance(response.stream, httpx.AsyncByteStream):
        response.stream = _BoundedStream(response, response.stream, coding, largest, largest_event)


class _BoundedStream(httpx.AsyncByteStream):
    """Unpacks the parts of a body, and breaks off after so many bytes."""

    def __init__(
        self,
        response: httpx.Response,
        stream: httpx.AsyncByteStream,
        coding: str,
        largest: int,
        largest_event: int | None,
    ) -> None:
        self._response = response
        self._stream = stream
        self._unpack = _Unpacker(coding).unpack if coding else _as_it_is
        self._largest = largest
        self._largest_event = largest_event

    async def __aiter__(self) -> AsyncIterator[bytes]:
        arrived = unpacked = event = 0
        end = b""
        async for part in self._stream:
            arrived += len(part)
            for piece in self._unpack(part):
                unpacked += len(piece)
                if max(arrived, unpacked) > self._largest:
                    raise _too_large(self._response, self._largest)
                if self._largest_event is not None:
                    event, end = _bytes_since_an_event(event, end, piece)
                    if event > self._largest_event:
                        raise BodyRefused(f"it has an event of over {_size(self._largest_event)}", self._response)
                yield piece
            # What unpacks to nothing has been counted only as it arrived.
            if arrived > self._largest:
                raise _too_large(self._response, self._largest)

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Unpacker:
    """Unpacks gzip, and deflate with or without its header, at most `_STEP` bytes at a time."""

    def __init__(self, coding: str) -> None:
        self._may_be_bare = coding == "deflate"
        self._zlib = zlib.decompressobj(zlib.MAX_WBITS if self._may_be_bare else 16 + zlib.MAX_WBITS)

    def unpack(self, part: bytes) -> Iterator[bytes]:
        """Yield what a part holds."""
        # What follows the end is not looked at: zlib would only collect it.
        while part and not self._zlib.eof:
            try:
                piece = self._zlib.decompress(part, _STEP)
            except zlib.error as exc:
                if not self._may_be_bare:
                    raise httpx.DecodingError(str(exc)) from exc
                self._zlib = zlib.decompressobj(-zlib.MAX_WBITS)
                self._may_be_bare = False
                continue
            self._may_be_bare = False
            part = self._zlib.unconsumed_tail
            # Of a full piece the end may still be in zlib, when nothing of the part is left.
            if len(piece) == _STEP and not part:
                piece += self._zlib.decompress(b"")
            if piece:
                yield piece


def _as_it_is(part: bytes) -> Iterator[bytes]:
    yield part


def _bytes_since_an_event(before: int, end: bytes, piece: bytes) -> tuple[int, bytes]:
    """Count the bytes after the last blank line; `end` is how the piece before this one ended."""
    text = end + piece
    at = max(text.rfind(mark) + len(mark) if mark in text else 0 for mark in _ENDS_OF_EVENTS)
    return (len(text) - at if at else before + len(piece)), text[-3:]


def _too_large(response: httpx.Response, largest: int) -> BodyRefused:
    return BodyRefused(f"it is larger than {_size(largest)}, which is as much as is read here", response)


def _size(count: int) -> str:
    return f"{count // 1024 // 1024} MiB" if count >= 1024 * 1024 else f"{count // 1024} KiB"
