"""How many may connect at once, on systems that give a process few files."""

import subprocess
import sys

import pytest

LIMITED = """
import resource
from agentphone_mcp.system.open_file_limit import most_connections
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
print(most_connections(), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
@pytest.mark.parametrize(
    ("soft", "hard", "printed"),
    [
        pytest.param(256, 6200, "2000 6100 6200", id="can-be-raised"),
        pytest.param(256, 300, "66 300 300", id="can-be-raised-a-little"),
        pytest.param(6150, 6200, "2000 6150 6200", id="high-enough"),
        pytest.param(64, 64, "1 64 64", id="hardly-any"),
    ],
)
def test_nobody_is_let_in_for_whom_there_is_no_file_left(soft: int, hard: int, printed: str) -> None:
    """A caller too many is told so; a server without files could tell nobody anything."""
    run = [sys.executable, "-c", LIMITED.format(soft=soft, hard=hard)]
    assert subprocess.run(run, capture_output=True, text=True, check=True, timeout=60).stdout.split() == printed.split()
