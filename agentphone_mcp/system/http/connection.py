"""Tell who is at the other end of a connection: the address and, over loopback, the user of this machine."""

from collections.abc import MutableMapping
from typing import Any

from agentphone_mcp.system.connection_owner import Address, FindOwner

_CONNECTION = "agentphone_mcp.connection"
"""The key of the `Connection` in the ASGI scope of a request."""
_NOT_ASKED = object()


class Connection:
    """Identify one connection by its two ends; None where they are not known."""

    def __init__(self, client: Address | None = None, server: tuple[str, int | None] | None = None) -> None:
        self._client = client
        self._server = server
        self._owner: object = _NOT_ASKED

    @property
    def address(self) -> str:
        """Return the address of the client; empty if it is not known."""
        return self._client[0] if self._client else ""

    def is_of(self, user: int, find: FindOwner) -> bool:
        """Return whether this user of the machine made the connection; the system is asked once."""
        if self._owner is _NOT_ASKED:
            try:
                self._owner = self._find(find)
            except OSError:
                self._owner = None
        return self._owner == user

    def _find(self, find: FindOwner) -> int | None:
        if self._client is None or self._server is None or self._server[1] is None:
            return None
        return find(self._client, (self._server[0], self._server[1]))


def put_connection(scope: MutableMapping[str, Any], connection: Connection) -> None:
    """Note in the scope of a request over which connection it came."""
    scope[_CONNECTION] = connection


def connection_of(scope: MutableMapping[str, Any]) -> Connection:
    """Return the connection of a request; one without ends if no server noted it."""
    connection = scope.get(_CONNECTION)
    return connection if isinstance(connection, Connection) else Connection()
