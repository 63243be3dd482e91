"""A sandbox's key is found in the state folder, and no command takes one on its command line."""

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agentphone_mcp.commands.main import main
from agentphone_mcp.commands.sandbox_keys import find_key, kept_key
from agentphone_mcp.config.config import read_state
from agentphone_mcp.sandbox import Sandbox, running

pytestmark = pytest.mark.attack("4", "a key stands where other users can read it")
ADA, DESK = "+14155550142", "+14155550100"
URL = "http://127.0.0.1:18787"
POSIX = pytest.mark.skipif(os.name != "posix", reason="modes and links are those of POSIX")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give this user an empty state folder, and no key in the environment."""
    for name in [name for name in os.environ if name.startswith("AGENTPHONE_")]:
        monkeypatch.delenv(name)
    for name in ("XDG_STATE_HOME", "HOME", "LOCALAPPDATA", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    return Path(read_state("")) / "sandboxes"


def typed(*arguments: str, **environment: str) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(main, ["sandbox", *arguments], env=environment)


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["call"], id="call"),
        pytest.param(["text", "--body", "Hi"], id="text"),
        pytest.param(["text", "--body", "Hi", "--url", "http://localhost:PORT/"], id="by-name"),
    ],
)
def test_the_key_of_a_running_sandbox_is_found(command: list[str]) -> None:
    with running() as box, kept_key(box.url, box.key):
        port = box.url.rpartition(":")[2]
        arguments = [each.replace("PORT", port) for each in command]
        ended = typed(*arguments, "--from", ADA, "--to", DESK, AGENTPHONE_BASE_URL=box.url)
        assert ended.exit_code in (0, 1), ended.output
        assert "401" not in ended.output


def test_the_kept_key_wins_over_another_in_the_environment() -> None:
    with running() as box, kept_key(box.url, box.key):
        ended = typed(
            "text", "--from", ADA, "--to", DESK, "--body", "Hi", "--url", box.url, AGENTPHONE_API_KEY="sk_live_x"
        )
        assert "live key" not in ended.output
        assert "401" not in ended.output


@pytest.mark.parametrize("command", ["call", "text"])
def test_no_key_can_be_typed(command: str) -> None:
    ended = typed(command, "--from", ADA, "--to", DESK, "--key", "sk_sandbox_mine")
    assert (ended.exit_code, "No such option" in ended.stderr) == (2, True)
    assert "sk_sandbox_mine" not in ended.output


def test_a_live_key_is_not_made_a_sandboxs() -> None:
    ended = typed("--port", "0", AGENTPHONE_SANDBOX_KEY="SK_live_not_a_real_key")
    assert (ended.exit_code, "a live key has no place in a sandbox" in ended.stderr) == (2, True)
    assert "SK_live_not" not in ended.output


@POSIX
def test_the_file_is_this_users_alone_and_gone_afterwards(folder: Path) -> None:
    before = os.umask(0)
    try:
        with kept_key(URL, "sk_sandbox_mine"):
            file = folder / "18787.key"
            assert [stat.S_IMODE(each.stat().st_mode) for each in (file, folder)] == [0o600, 0o700]
            assert find_key(URL) == "sk_sandbox_mine"
    finally:
        os.umask(before)
    assert not file.exists()


def test_a_later_sandbox_keeps_its_own_key(folder: Path) -> None:
    with kept_key(URL, "sk_sandbox_first"):
        kept = kept_key(URL, "sk_sandbox_later")
        kept.__enter__()
    assert find_key(URL) == "sk_sandbox_later"
    kept.__exit__(None, None, None)
    assert find_key(URL) is None


@POSIX
@pytest.mark.parametrize(
    "plant",
    [
        pytest.param(lambda file: (file.write_text("sk_sandbox_theirs"), file.chmod(0o644)), id="readable-by-all"),
        pytest.param(lambda file: (file.write_text("sk_sandbox_theirs"), file.chmod(0o620)), id="written-by-a-group"),
        pytest.param(lambda file: (target(file), file.symlink_to(f"{file}.there")), id="link"),
        pytest.param(lambda file: os.mkfifo(file, 0o600), id="pipe"),
        pytest.param(lambda file: file.mkdir(mode=0o700), id="folder"),
        pytest.param(lambda file: (file.write_bytes(b"\xff"), file.chmod(0o600)), id="no-text"),
    ],
)
def test_what_another_could_have_written_is_not_read(plant: Callable[[Path], object], folder: Path) -> None:
    folder.mkdir(parents=True)
    plant(folder / "18787.key")
    assert find_key(URL) is None


def target(file: Path) -> None:
    """Write the file to which a link leads."""
    there = Path(f"{file}.there")
    there.write_text("sk_sandbox_theirs")
    there.chmod(0o600)


@pytest.mark.parametrize("url", ["http://127.0.0.1", "http://[", "http://127.0.0.1:99999", "http://127.0.0.1:0"])
def test_where_no_port_is_named_nothing_is_kept(url: str) -> None:
    with kept_key(url, "sk_sandbox_mine"):
        assert find_key(url) is None


def test_a_folder_that_cannot_be_made_stops_no_sandbox(folder: Path) -> None:
    folder.parent.parent.mkdir(parents=True, exist_ok=True)
    folder.parent.write_text("a file")
    with kept_key(URL, "sk_sandbox_mine"):
        assert find_key(URL) is None


SENT = "sk_live_not_a_real_key_0042"


@pytest.mark.attack("4", "a live key that a client sends is logged and shown")
@pytest.mark.parametrize("key", [SENT, SENT.upper(), SENT.replace("_", "%5F"), "sk_test_a.b~c"])
async def test_a_key_that_a_client_sends_is_neither_logged_nor_shown(key: str) -> None:
    import httpx

    box = Sandbox()
    headers = {"Authorization": f"Bearer {box.key}", "X-Sub-Account-Id": key}
    transport = httpx.ASGITransport(box.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers) as client:
        with box.context.event_stream.subscribe(lambda: None) as events:
            await client.post(f"/v1/agents/{key}", params={"api_key": key}, json={"name": key, key: [key]})
            await client.post("/v1/agents", content=f"api_key={key}")
            await client.post("/v1/contacts", json={"name": key, "phoneNumber": ADA})
            shown = json.dumps([event.row for event in events.take()])
        logged = (await client.get("/__sandbox/requests")).text
        await box.aclose()
    recorded = repr(box.requests)
    for text in (shown, logged, recorded):
        assert "not_a_real_key" not in text.lower().replace("%5f", "_")
        assert "a.b~c" not in text
        assert "[key]" in text
