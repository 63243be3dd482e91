"""Listen for the sandbox's webhooks in this process."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from threading import Thread
from typing import Any

from tests.support import PATIENCE


class Hook:
    """A webhook that answers every request with the same status and body, and keeps what it was sent.

    Attributes:
        url: its address.
        received: the body and headers of each request.
        events: the events of all requests.
    """

    def __init__(self) -> None:
        self.status, self.body, self.content_type = 200, b"{}", "application/json"
        self.received: Queue[tuple[bytes, dict[str, str]]] = Queue()
        self.events: list[dict[str, Any]] = []
        self.url = ""

    def next(self, event: str, channel: str) -> tuple[bytes, dict[str, str]]:
        """Wait for the next such event, and return its body and headers."""
        while True:
            body, headers = self.received.get(timeout=PATIENCE)
            read = json.loads(body)
            if (read["event"], read["channel"]) == (event, channel):
                return body, headers


@contextmanager
def listening_hook() -> Generator[Hook]:
    """Run a webhook on a free port of this machine."""
    hook = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            hook.events.append(json.loads(body))
            hook.received.put((body, dict(self.headers)))
            self.send_response(hook.status)
            self.send_header("Content-Type", hook.content_type)
            self.send_header("Content-Length", str(len(hook.body)))
            self.end_headers()
            self.wfile.write(hook.body)

        def log_message(self, *_: Any) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hook.url = f"http://127.0.0.1:{server.server_port}/webhook"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield hook
        server.shutdown()
        thread.join()
