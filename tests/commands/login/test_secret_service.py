"""Check the keychain of a Linux desktop: GNOME's, over D-Bus, in a session of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import LIVE_KEY, PATIENCE, ROOT

# A host passes on little more than PATH and HOME, so the server is to find the bus where systemd puts it.
# Such a server gets as far as its tokens with a key, and no further than the key without one.
STORY = """
import os, subprocess, sys
from pathlib import Path

def run(*command, typed=""):
    done = subprocess.run(command, input=typed, capture_output=True, text=True, timeout=60)
    print(done.stdout + done.stderr, end="", flush=True)

ours = (sys.executable, "-m", "agentphone_mcp")
subprocess.run(("gnome-keyring-daemon", "--unlock", "--components=secrets"), input=b"a password", timeout=60,
               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
run(*ours, "login", "--no-check", typed=sys.argv[1])
bus = os.environ.pop("DBUS_SESSION_BUS_ADDRESS").removeprefix("unix:path=").partition(",")[0]
Path(os.environ["XDG_RUNTIME_DIR"], "bus").symlink_to(bus)
run(*ours, "--transport=sse", "--port=0", "--http-auth=token", "--http-tokens-file=/nowhere")
run(*ours, "logout")
run(*ours, "logout")
run(*ours, "--transport=sse", "--port=0", "--http-auth=token", "--http-tokens-file=/nowhere")
"""
SESSION = shutil.which("dbus-run-session")


@pytest.mark.skipif(not SESSION or not shutil.which("gnome-keyring-daemon"), reason="GNOME's keychain is not here")
def test_a_desktops_keychain_keeps_the_key_and_the_server_finds_it(tmp_path: Path) -> None:
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    folders = {"HOME": tmp_path, "XDG_DATA_HOME": tmp_path / "data", "XDG_RUNTIME_DIR": runtime}
    ended = subprocess.run(
        [str(SESSION), "--", sys.executable, "-c", STORY, LIVE_KEY],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)} | {name: str(path) for name, path in folders.items()},
        capture_output=True,
        text=True,
        timeout=8 * PATIENCE,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == [
        "The key ending in 0042 is in the system's keychain (agentphone-mcp, api.agentphone.to).",
        "Error: AGENTPHONE_HTTP_TOKENS_FILE: '/nowhere' cannot be used: no such file or directory",
        "The key is no longer in the keychain; it stays valid until you revoke it in AgentPhone's dashboard.",
        "There was no key for api.agentphone.to in the keychain.",
        "Error: AGENTPHONE_API_KEY is not set: with AGENTPHONE_HTTP_AUTH=token it is used",
    ]
