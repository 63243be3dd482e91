"""Find out which user of this machine made a connection over loopback, where the system tells (Linux).

The kernel is asked over netlink (sock_diag(7)), which finds one connection among thousands at once. Where that cannot
be done, /proc/net/tcp is read (proc(5)). Both name the user of a socket that a process holds; one that was closed
already counts as root's there, and here as nobody's.
"""

import os
import socket
import struct
import sys
from collections.abc import Callable
from contextlib import closing
from functools import cache
from pathlib import Path

from agentphone_mcp.system.sockets import CannotListen, listening

Address = tuple[str, int]
FindOwner = Callable[[Address, Address], int | None]
"""Returns the user id of who holds the client's end of a connection, given both ends; None if nobody does."""

_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST = 4, 20, 1
_HEADER = struct.Struct("=IHHII")
_SOCKET_ID = struct.Struct("!HH16s16s12s")
_QUERY = struct.Struct(f"=BBBxI{_SOCKET_ID.size}s")
_FOUND = struct.Struct(f"=BBBB{_SOCKET_ID.size}sIIIII")
_ANY_STATE, _LISTENS = 0xFFFFFFFF, 10
_ANY_INTERFACE_AND_COOKIE = b"\0" * 4 + b"\xff" * 8
_TABLES = {socket.AF_INET: "tcp", socket.AF_INET6: "tcp6"}
_MAPPED = b"\0" * 10 + b"\xff\xff"
"""Stands before an IPv4 address that a socket of IPv6 uses."""


@cache
def owner_finder(host: str) -> FindOwner | None:
    """Return how this system tells who made a connection to a host of loopback; None if it does not."""
    if sys.platform != "linux":
        return None
    try:
        with (
            listening(host, 0) as listener,
            closing(socket.create_connection(listener.getsockname()[:2])) as client,
        ):
            ends = client.getsockname()[:2], listener.getsockname()[:2]
            return next((find for find in (find_by_netlink, find_by_table) if _tells(find, *ends)), None)
    except (CannotListen, OSError):
        return None


def _tells(find: FindOwner, client: Address, server: Address) -> bool:
    try:
        return find(client, server) == os.geteuid()
    except OSError:
        return False


def find_by_netlink(client: Address, server: Address) -> int | None:
    """Ask the kernel who holds the client's end of a connection; None if nobody does.

    Raises:
        OSError: if the kernel cannot be asked.
    """
    family, near, far = _packed(client, server)
    wanted = _SOCKET_ID.pack(
        client[1], server[1], near.ljust(16, b"\0"), far.ljust(16, b"\0"), _ANY_INTERFACE_AND_COOKIE
    )
    query = _QUERY.pack(family, socket.IPPROTO_TCP, 0, _ANY_STATE, wanted)
    header = _HEADER.pack(_HEADER.size + len(query), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 0, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as kernel:
        kernel.settimeout(1)
        kernel.sendto(header + query, (0, 0))
        answer = kernel.recv(8_192)
    if _HEADER.unpack_from(answer)[1] != _SOCK_DIAG_BY_FAMILY:
        return None
    _, state, _, _, found, _, _, _, user, inode = _FOUND.unpack_from(answer, _HEADER.size)
    # Where there is no such connection, the kernel names who listens at the client's address.
    is_connection = state != _LISTENS and found[:4] == wanted[:4]
    return user if is_connection and inode else None


def find_by_table(client: Address, server: Address, folder: Path = Path("/proc/net")) -> int | None:
    """Look in the table of connections who holds the client's end of one; None if nobody does.

    Raises:
        OSError: if the table cannot be read.
    """
    family, near, far = _packed(client, server)
    user = _in_table(folder / _TABLES[family], near, client[1], far, server[1])
    if user is None and family == socket.AF_INET and (folder / "tcp6").exists():
        user = _in_table(folder / "tcp6", _MAPPED + near, client[1], _MAPPED + far, server[1])
    return user


def _in_table(table: Path, near: bytes, near_port: int, far: bytes, far_port: int) -> int | None:
    ends = f" {_shown(near)}:{near_port:04X} {_shown(far)}:{far_port:04X} "
    _, found, rest = table.read_text().partition(ends)
    if not found:
        return None
    # The state, queues, timers and retransmissions; then the user, its timeouts, and the inode.
    _, _, _, _, user, _, inode, *_ = rest.split(maxsplit=7)
    return int(user) if inode != "0" else None


def _packed(client: Address, server: Address) -> tuple[socket.AddressFamily, bytes, bytes]:
    family = socket.AF_INET6 if ":" in client[0] else socket.AF_INET
    return family, socket.inet_pton(family, client[0]), socket.inet_pton(family, server[0])


def _shown(address: bytes) -> str:
    """Return an address as the table shows it: words of 32 bits in the order of this machine."""
    return "".join(f"{word:08X}" for (word,) in struct.iter_unpack("=I", address))
