"""ClientTimeouts with h11, which is there wherever uvicorn is, and is imported where nothing faster is installed."""

import asyncio
from http import HTTPStatus

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from agentphone_mcp.server.http.uvicorn_protocols.timeouts import ClientTimeouts, Part


class ClientTimeoutsH11(ClientTimeouts, H11Protocol):
    """With h11, which bounds by itself whatever is not complete."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start with our own bound."""
        self.conn = h11.Connection(h11.SERVER, self.limits.head_bytes)
        super().connection_made(transport)

    def awaited(self) -> Part | None:
        """By the state of the client."""
        if self.conn.their_state is h11.IDLE:
            return "head"
        return "body" if self.conn.their_state is h11.SEND_BODY else None

    def unanswered(self) -> bool:
        """By our own state."""
        return self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE)

    def send_400_response(self, msg: str) -> None:
        """Tell what is too long from what is wrong."""
        rest, _ = self.conn.trailing_data
        too_long = len(rest) > self.limits.head_bytes
        self.refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE if too_long else HTTPStatus.BAD_REQUEST)
