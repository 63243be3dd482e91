"""Check that the keychain keeps one key for each place, and that its failures are reported."""

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agentphone_mcp.api.api_key import ApiKey, KeyRuleBroken
from agentphone_mcp.config.keychain import NoKeychain, account_for, find, forget, keep, try_out
from tests.support import LIVE_KEY

VENDOR, OTHER_HOST = "https://api.agentphone.to", "https://api.agentphone.ai"
SANDBOX, OTHER_SANDBOX = "http://127.0.0.1:8787", "http://127.0.0.1:8788"
LIVE, PRACTICE = ApiKey(LIVE_KEY), ApiKey("sk_sandbox_not_a_real_key_0043")
ODD = "0123-an-odd-key-without-a-prefix"
DOTTED = "sk_live_not.a.real.key.0045"
Kept = Callable[[], dict[str, str]]


def test_the_vendors_two_hosts_share_a_key(kept: Kept) -> None:
    keep(VENDOR, LIVE)
    found = find(OTHER_HOST)
    assert found
    assert found.header() == LIVE.header()
    assert list(kept()) == ["api.agentphone.to"]


def test_each_sandbox_has_its_own_key(kept: Kept) -> None:
    keep(SANDBOX, PRACTICE)
    assert find(VENDOR) is None
    assert find(OTHER_SANDBOX) is None
    assert list(kept()) == [SANDBOX]
    assert account_for(f"{SANDBOX}/v1/") == SANDBOX


@pytest.mark.parametrize("base_url", [SANDBOX, "https://api.evil.example", "http://api.agentphone.to"], ids=str)
def test_a_live_key_is_kept_for_nobody_else(kept: Kept, base_url: str) -> None:
    with pytest.raises(KeyRuleBroken):
        keep(base_url, LIVE)
    assert kept() == {}


def test_a_later_key_takes_the_place_of_an_earlier_one(kept: Kept) -> None:
    keep(SANDBOX, PRACTICE)
    keep(SANDBOX, ApiKey("sk_sandbox_another_key_0044"))
    assert kept() == {SANDBOX: "sk_sandbox_another_key_0044"}
    assert forget(SANDBOX)
    assert kept() == {}
    assert not forget(SANDBOX)


@pytest.mark.usefixtures("kept")
def test_a_key_that_is_there_still_is_not_said_to_be_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    keep(SANDBOX, PRACTICE)
    monkeypatch.setenv("PRETEND_KEYCHAIN_MOOD", "clinging")
    with pytest.raises(NoKeychain, match="it has a key still"):
        forget(SANDBOX)


def test_a_live_key_in_the_place_of_a_sandboxs_is_not_used(kept: Kept, tmp_path: Path) -> None:
    (tmp_path / "keychain.json").write_text(f'{{"agentphone-mcp": {{"{SANDBOX}": "{LIVE_KEY}"}}}}')
    with pytest.raises(NoKeychain, match="goes to the vendor's hosts only"):
        find(SANDBOX)


def test_a_trial_leaves_nothing_behind(kept: Kept) -> None:
    try_out()
    assert kept() == {}


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(
    ("mood", "reason"),
    [
        pytest.param("hanging", "did not answer within 0.2 seconds", id="hanging"),
        pytest.param("locked", "it is locked", id="locked"),
        pytest.param("broken", "SystemError: error -25300", id="broken"),
    ],
)
def test_a_keychain_that_fails_says_why(monkeypatch: pytest.MonkeyPatch, mood: str, reason: str) -> None:
    monkeypatch.setenv("PRETEND_KEYCHAIN_MOOD", mood)
    asked: list[Callable[[], object]] = [
        lambda: find(VENDOR, 0.2),
        lambda: keep(VENDOR, LIVE, 0.2),
        lambda: forget(VENDOR, 0.2),
        lambda: try_out(0.2),
    ]
    for ask in asked:
        with pytest.raises(NoKeychain, match=reason) as failed:
            ask()
        assert "\n" not in str(failed.value)


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("key", [LIVE, ApiKey(ODD), ApiKey(DOTTED)], ids=["known", "odd", "dotted"])
def test_a_reason_does_not_quote_the_key(monkeypatch: pytest.MonkeyPatch, key: ApiKey) -> None:
    monkeypatch.setenv("PRETEND_KEYCHAIN_MOOD", "broken")
    with pytest.raises(NoKeychain) as failed:
        keep(VENDOR, key)
    assert "[key removed]" in str(failed.value)
    assert "not_a_real" not in str(failed.value)
    assert "an-odd" not in str(failed.value)
    assert "real" not in str(failed.value)


@pytest.mark.usefixtures("kept")
def test_a_keychain_that_cannot_be_written_still_gives_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    keep(VENDOR, LIVE)
    monkeypatch.setenv("PRETEND_KEYCHAIN_MOOD", "read-only")
    assert find(VENDOR)
    with pytest.raises(NoKeychain, match="PermissionError"):
        forget(VENDOR)


@pytest.mark.usefixtures("kept")
def test_a_keychain_that_asks_by_itself_takes_nothing_of_a_hosts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(VENDOR, LIVE)
    monkeypatch.setenv("PRETEND_KEYCHAIN_MOOD", "asking")
    monkeypatch.setattr(sys, "stdin", io.StringIO("a host's first message"))
    assert find(VENDOR)
    assert sys.stdin.read() == "a host's first message"
    assert capsys.readouterr().out == ""


def test_what_is_no_key_is_not_used(kept: Kept, tmp_path: Path) -> None:
    (tmp_path / "keychain.json").write_text('{"agentphone-mcp": {"api.agentphone.to": "not a key at all"}}')
    with pytest.raises(NoKeychain, match=r"api\.agentphone\.to cannot be used") as odd:
        find(VENDOR)
    assert "not a key" not in str(odd.value)


def test_a_keychain_that_keeps_nothing_is_none() -> None:
    assert find(VENDOR) is None
    assert not forget(VENDOR)
    for ask in (try_out, lambda: keep(VENDOR, LIVE)):
        with pytest.raises(NoKeychain, match="does not keep"):
            ask()


def test_a_system_without_one_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "from agentphone_mcp.config.keychain import find\nfind('https://api.agentphone.to')"
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert "NoKeychain: this system has none that is running" in ended.stderr


def test_asking_imports_keyring_and_nothing_else_does() -> None:
    code = "import sys, agentphone_mcp.commands.main, agentphone_mcp.config.keychain; print('keyring' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.stdout, ended.stderr) == ("False\n", "")
