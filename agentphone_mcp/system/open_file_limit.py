"""Raise the limit of open files, and tell how many callers fit into it."""

import sys

_MOST = 2_000
_FOR_EACH = 3
"""Sockets of a caller: their own, and one each to the API for reads and writes."""
_FOR_THE_REST = 100
"""Files, the ledger, pipes."""


def most_connections() -> int:
    """Raise this process's limit of open files as needed and allowed; return how many callers fit into it."""
    if sys.platform == "win32":
        return _MOST
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST * _FOR_EACH + _FOR_THE_REST
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    else:
        soft = wanted
    return max(1, min(_MOST, (soft - _FOR_THE_REST) // _FOR_EACH))
