"""ASGI middleware: trusted hosts, bodies, admission, concurrency and the access log."""
