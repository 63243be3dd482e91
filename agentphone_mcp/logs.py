"""Logging to stderr (stdout is the protocol's), without the secrets."""

import logging
import sys
from collections.abc import Callable


class _CuttingFormatter(logging.Formatter):
    """Cuts secrets out of the finished line, so that messages, arguments and tracebacks are covered alike."""

    def __init__(self, cut: Callable[[str], str]) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._cut = cut

    def format(self, record: logging.LogRecord) -> str:
        return self._cut(super().format(record))


def log_to_stderr(level: str, cut: Callable[[str], str]) -> None:
    """Send all logging of the process to stderr.

    Args:
        level: the least severe level that is shown.
        cut: removes what must not be shown.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_CuttingFormatter(cut))
    logging.basicConfig(level=level, handlers=[handler], force=True)
