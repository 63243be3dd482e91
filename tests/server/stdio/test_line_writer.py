"""What is said to a host: whole lines, at once where it has room, and by a thread that can wait where it has none."""

import os
import select
import threading
from collections.abc import Generator
from contextlib import suppress

import pytest

from agentphone_mcp.server.stdio.descriptors import LineWriter
from tests.support import PATIENCE

ONLY_WHERE_PIPES_TELL = pytest.mark.skipif(not hasattr(select, "PIPE_BUF"), reason="here no pipe says if it has room")


@pytest.fixture
def pipe() -> Generator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        with suppress(OSError):
            os.close(end)


def fill(fd: int) -> int:
    """Write until there is no room any more, and say how much that was."""
    os.set_blocking(fd, False)
    filled = 0
    with suppress(BlockingIOError):
        while True:
            filled += os.write(fd, b"x" * 512)
    os.set_blocking(fd, True)
    return filled


@ONLY_WHERE_PIPES_TELL
def test_a_short_line_is_said_at_once(pipe) -> None:
    assert LineWriter(pipe[1]).write_at_once("straight – away\n")
    assert os.read(pipe[0], 100).decode() == "straight – away\n"


def test_a_long_line_is_left_to_a_thread(pipe) -> None:
    """A pipe that has room may still not have enough, and the loop would wait for the host."""
    assert not LineWriter(pipe[1]).write_at_once("x" * 1_000_000)
    os.close(pipe[1])
    assert os.read(pipe[0], 1) == b""


def test_nothing_is_said_at_once_to_a_host_that_does_not_read(pipe) -> None:
    writer, filled = LineWriter(pipe[1]), fill(pipe[1])
    assert not writer.write_at_once("later\n")
    waiting = threading.Thread(target=writer.write, args=("later\n",))
    waiting.start()
    # While it waits nobody else's line gets in between.
    assert not writer.write_at_once("in between\n")
    said = b""
    while len(said) < filled + 6:
        said += os.read(pipe[0], 65_536)
    waiting.join(PATIENCE)
    assert said[filled:] == b"later\n"


@ONLY_WHERE_PIPES_TELL
def test_a_host_that_has_gone_is_noticed(pipe) -> None:
    """It is not taken for one without room, which a thread would wait for."""
    os.close(pipe[0])
    with pytest.raises(BrokenPipeError):
        LineWriter(pipe[1]).write_at_once("to nobody\n")
