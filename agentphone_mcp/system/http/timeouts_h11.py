"""Add the time limits to uvicorn's H11Protocol; h11 is always installed, and used if httptools is not."""

import asyncio
from http import HTTPStatus

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from agentphone_mcp.system.http.timeouts import ClientTimeouts, Part


class ClientTimeoutsH11(ClientTimeouts, H11Protocol):
    """Use h11, which limits incomplete heads and chunks by itself."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start with our limit of the head, instead of h11's own."""
        self.conn = h11.Connection(h11.SERVER, self.limits.head_bytes)
        super().connection_made(transport)

    def awaited(self) -> Part | None:
        """Return what h11 expects from the client."""
        if self.conn.their_state is h11.IDLE:
            return "head"
        return "body" if self.conn.their_state is h11.SEND_BODY else None

    def unanswered(self) -> bool:
        """Return whether h11 has sent no response yet."""
        return self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE)

    def send_400_response(self, msg: str) -> None:
        """Answer 431 to a head that is too long, and 400 to one that is invalid."""
        rest, _ = self.conn.trailing_data
        too_long = len(rest) > self.limits.head_bytes
        self.refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE if too_long else HTTPStatus.BAD_REQUEST)
