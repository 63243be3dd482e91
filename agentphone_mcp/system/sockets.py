"""Open a listening socket for an HTTP server."""

import os
import socket


class CannotListen(OSError):
    """Raised when the port is taken or the address is not of this machine; the message is one sentence."""


def listening(host: str, port: int) -> socket.socket:
    """Listen at an address; with the port 0 at any that is free.

    Raises:
        CannotListen: if that cannot be.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as exc:
        raise CannotListen(f"cannot listen on {host}: {exc.strerror}") from exc
    # asyncio switches Nagle's delay off only where the protocol is named; clients wait 40 ms for an answer otherwise.
    listener = socket.socket(family, proto=socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            # Without it a port stays taken for a minute after a server has left it; on Windows it means another thing.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        # A reader of the printed address may connect at once, before the web server is up.
        listener.listen()
    except OSError as exc:
        listener.close()
        raise CannotListen(f"cannot listen on {host}:{port}: {exc.strerror}") from exc
    return listener
