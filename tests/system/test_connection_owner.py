"""Find out which user of this machine made a connection, by the kernel and by the table of connections."""

import os
import socket
import sys
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from agentphone_mcp.system.connection_owner import FindOwner, find_by_netlink, find_by_table, owner_finder
from agentphone_mcp.system.sockets import listening

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell whose a connection is"),
    pytest.mark.attack("15", "another user of the machine reaches what is meant for one"),
]
WAYS = pytest.mark.parametrize("find", [find_by_netlink, find_by_table])
AS_ROOT = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can be another user")
NOBODY = 65_534
Connected = Callable[..., tuple[socket.socket, tuple[str, int], tuple[str, int]]]


@pytest.fixture(params=["127.0.0.1", "::1"])
def connected(request: pytest.FixtureRequest) -> Generator[Connected]:
    """Connect as a user; give the client's socket and both ends."""
    open_sockets: list[socket.socket] = []

    def connect(user: int | None = None, family: int | None = None) -> tuple[socket.socket, tuple, tuple]:
        listener = listening(request.param, 0)
        before = os.geteuid()
        if user is not None:
            os.seteuid(user)
        try:
            client = socket.socket(family or listener.family)
        finally:
            os.seteuid(before)
        open_sockets.extend((listener, client))
        host, port = listener.getsockname()[:2]
        client.connect((f"::ffff:{host}" if family else host, port))
        accepted, address = listener.accept()
        open_sockets.append(accepted)
        return client, address[:2], (host, port)

    yield connect
    for each in open_sockets:
        each.close()


@WAYS
def test_ones_own_connection_is_ones_own(connected: Connected, find: FindOwner) -> None:
    _, client, server = connected()
    assert find(client, server) == os.geteuid()
    assert owner_finder(server[0]) is find_by_netlink


@AS_ROOT
@WAYS
def test_another_users_connection_is_theirs(connected: Connected, find: FindOwner) -> None:
    _, client, server = connected(NOBODY)
    assert find(client, server) == NOBODY


@AS_ROOT
@WAYS
@pytest.mark.parametrize("connected", ["127.0.0.1"], indirect=True)
def test_a_socket_of_ipv6_has_its_user_too(connected: Connected, find: FindOwner) -> None:
    """It reaches an IPv4 address under another name, and stands in another table."""
    _, client, server = connected(NOBODY, socket.AF_INET6)
    assert find(client, server) == NOBODY


@WAYS
def test_a_connection_that_its_user_closed_is_nobodys(connected: Connected, find: FindOwner) -> None:
    """The kernel names root for it, which whoever sends a request and closes at once would count as."""
    closed, client, server = connected()
    closed.sendall(b"GET / HTTP/1.1\r\n")
    closed.close()
    assert find(client, server) is None


@WAYS
def test_who_listens_at_the_clients_address_did_not_connect(connected: Connected, find: FindOwner) -> None:
    """For a connection that is gone the kernel names them instead."""
    _, _, server = connected()
    assert find(server, ("::1" if ":" in server[0] else "127.0.0.1", 9)) is None


def test_the_table_is_read_as_the_kernel_writes_it(tmp_path: Path) -> None:
    """Columns of a line: both ends, the state, queues, timers, retransmissions, the user, a timeout, the inode."""
    lines = [
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode",
        "   0: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 11 1 0",
        "   1: 0100007F:C350 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1001        0 12 1 0",
        "   2: 0100007F:C351 0100007F:1F90 05 00000000:00000000 00:00000000 00000000     0        0 0 1 0",
    ]
    (tmp_path / "tcp").write_text("\n".join(lines))
    if sys.byteorder == "little":
        assert find_by_table(("127.0.0.1", 0xC350), ("127.0.0.1", 0x1F90), tmp_path) == 1001
        assert find_by_table(("127.0.0.1", 0xC351), ("127.0.0.1", 0x1F90), tmp_path) is None
    assert find_by_table(("127.0.0.1", 0xC352), ("127.0.0.1", 0x1F90), tmp_path) is None
