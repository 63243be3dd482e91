"""What a server is told at its start: keys, key files, toolsets and addresses, checked and frozen."""

import os
import traceback
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from agentphone_mcp.api.allowlist import DEFAULT_BASE_URL
from agentphone_mcp.api.api_key import ApiKey
from agentphone_mcp.commands.install.locations import read_machine
from agentphone_mcp.config.config import Config, read_cache, read_state, read_toolsets
from agentphone_mcp.config.environment import read_key, read_span_exporter
from agentphone_mcp.config.settings import ConfigError
from agentphone_mcp.variables import TOOLSETS
from tests.support import LIVE_KEY

KEY, FILE = "AGENTPHONE_API_KEY", "AGENTPHONE_API_KEY_FILE"


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(LIVE_KEY, id="bare"),
        pytest.param(f"  {LIVE_KEY}\n", id="surrounded-by-space"),
        pytest.param(f"\t{LIVE_KEY}\r\n", id="windows-newline"),
    ],
)
def test_a_key_is_read_from_the_environment(value: str) -> None:
    key = read_key({KEY: value})
    assert key
    assert key.header() == f"Bearer {LIVE_KEY}"


@pytest.mark.parametrize("text", [pytest.param(LIVE_KEY, id="bare"), pytest.param(f"{LIVE_KEY}\r\n", id="newline")])
def test_a_key_is_read_from_a_file(tmp_path: Path, text: str) -> None:
    """A file ends in a newline, and the key does not."""
    file = tmp_path / "key"
    file.write_text(text, encoding="utf-8", newline="")
    key = read_key({FILE: f" {file} "})
    assert key
    assert key.header() == f"Bearer {LIVE_KEY}"


def test_a_key_file_may_lie_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`~` is that of the person who runs the server."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "key").write_text(LIVE_KEY, encoding="utf-8")
    key = read_key({FILE: "~/key"})
    assert key
    assert key.last_four == "0042"


@pytest.mark.parametrize(
    "environ",
    [
        pytest.param({}, id="nothing-set"),
        pytest.param({KEY: ""}, id="empty"),
        pytest.param({KEY: "  ", FILE: " "}, id="blank"),
        pytest.param({"agentphone_api_key": LIVE_KEY}, id="another-name"),
        pytest.param({KEY: "$AGENTPHONE_API_KEY"}, id="reference-to-what-is-unset"),
        pytest.param({KEY: "${AGENTPHONE_API_KEY}"}, id="braced-reference"),
        pytest.param({KEY: "${env:AGENTPHONE_API_KEY}"}, id="named-reference"),
        pytest.param({FILE: "${AGENTPHONE_API_KEY_FILE:-}"}, id="reference-with-a-default"),
    ],
)
def test_without_a_key_there_is_none(environ: dict[str, str]) -> None:
    """The server starts all the same, and may find one in the keychain; some hosts leave references as they stand."""
    assert read_key(environ) is None


@pytest.mark.parametrize(
    ("value", "said"),
    [
        pytest.param("$MY_AGENTPHONE_KEY", "placeholder", id="placeholder"),
        pytest.param("${MY_AGENTPHONE_KEY}", "placeholder", id="braced-placeholder"),
        pytest.param("${input:agentphone_key}", "placeholder", id="hosts-placeholder"),
        pytest.param("sk_live", "8 to 512", id="too-short"),
        pytest.param("sk_live_" + "0" * 600, "8 to 512", id="too-long"),
        pytest.param("sk_live_schlüssel_0042", "ASCII", id="not-ascii"),
        pytest.param("sk_live_one sk_live_two", "spaces", id="two-keys"),
        pytest.param("sk_live_one\nsk_live_two", "spaces", id="two-lines"),
        pytest.param("sk_live_one\x00two_three", "printable", id="nul"),
    ],
)
@pytest.mark.parametrize("source", [pytest.param(KEY, id="variable"), pytest.param(FILE, id="file")])
def test_what_is_no_key_is_named_by_its_variable_and_not_repeated(
    tmp_path: Path, value: str, said: str, source: str
) -> None:
    """The sentence says where to look and what is wrong."""
    file = tmp_path / "key"
    file.write_text(value, encoding="utf-8")
    with pytest.raises(ConfigError, match=f"^{source}: ") as wrong:
        read_key({source: value if source == KEY else str(file)})
    assert said in str(wrong.value)
    assert value not in "".join(traceback.format_exception(wrong.value))


def test_two_keys_are_one_too_many(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="both set") as wrong:
        read_key({KEY: LIVE_KEY, FILE: str(tmp_path / "key")})
    assert LIVE_KEY not in str(wrong.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(None, "No such file", id="missing"),
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(b" \n", "is empty", id="blank"),
        pytest.param(b"\xff\xfe\x00s\x00k", "not a text file", id="no-text"),
    ],
)
def test_a_key_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None, said: str) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=f"^{FILE}: ") as wrong:
        read_key({FILE: str(file)})
    assert str(file) in str(wrong.value)
    assert said in str(wrong.value)


@pytest.mark.parametrize(
    "file",
    [
        pytest.param("/", id="folder"),
        pytest.param("/dev/null/key", id="below-no-folder"),
        pytest.param("~nobody_of_this_name/key", id="home-of-nobody"),
        pytest.param("a\x00b", id="nul"),
        pytest.param("k" * 10_000, id="very-long"),
    ],
)
def test_a_path_that_is_no_file_is_a_setting_that_is_wrong(file: str) -> None:
    with pytest.raises(ConfigError, match=f"^{FILE}: "):
        read_key({FILE: file})


def test_a_key_that_was_set_as_its_own_file_is_not_shown() -> None:
    """Somebody took the wrong variable; the refusal does not print the key into a log."""
    with pytest.raises(ConfigError, match=f"^{FILE}: ") as wrong:
        read_key({FILE: LIVE_KEY})
    assert LIVE_KEY not in "".join(traceback.format_exception(wrong.value))


@pytest.mark.parametrize(
    "base_url",
    [
        pytest.param("https://evil.example", id="another-host"),
        pytest.param("http://api.agentphone.to", id="plain-http"),
        pytest.param("https://api.agentphone.to@evil.example", id="userinfo"),
        pytest.param("", id="empty"),
        pytest.param(f"https://{LIVE_KEY}@api.agentphone.to", id="key-as-userinfo"),
        pytest.param(f"https://evil.example/{LIVE_KEY}", id="key-in-the-path"),
        pytest.param(f"https://evil.example/?key={LIVE_KEY}", id="key-in-the-query"),
        pytest.param(f"https://{LIVE_KEY}.evil.example", id="key-in-the-host"),
        pytest.param(f"https://api.agentphone.to:{LIVE_KEY}", id="key-as-port"),
        pytest.param(LIVE_KEY, id="the-key-alone"),
        pytest.param("https://xn--a", id="broken-punycode"),
    ],
)
@pytest.mark.parametrize("key", [pytest.param(LIVE_KEY, id="with-a-key"), pytest.param(None, id="without-a-key")])
def test_a_wrong_base_url_is_one_sentence_without_the_key(base_url: str, key: str | None) -> None:
    """It names the variable; a key that stands in the URL is not repeated, whether it is also configured or not."""
    with pytest.raises(ConfigError, match=r"^AGENTPHONE_BASE_URL: ") as wrong:
        Config(api_key=ApiKey(key) if key else None, base_url=base_url)
    assert LIVE_KEY not in "".join(traceback.format_exception(wrong.value))


def test_a_live_key_and_loopback_do_not_go_together() -> None:
    with pytest.raises(ConfigError, match="sk_live_ goes to the vendor's hosts only") as wrong:
        Config(api_key=ApiKey(LIVE_KEY), base_url="http://127.0.0.1:8000")
    assert LIVE_KEY not in str(wrong.value)


@pytest.mark.parametrize(
    ("base_url", "key"),
    [
        pytest.param("https://api.agentphone.to", LIVE_KEY, id="vendor"),
        pytest.param("https://api.agentphone.ai/v1", LIVE_KEY, id="second-host"),
        pytest.param("https://api.agentphone.to:443", LIVE_KEY, id="port-443"),
        pytest.param("http://127.0.0.1:8000", "sk_sandbox_1", id="sandbox"),
        pytest.param("http://localhost:8000", None, id="sandbox-without-a-key"),
    ],
)
def test_a_good_base_url_is_taken(base_url: str, key: str | None) -> None:
    assert Config(api_key=ApiKey(key) if key else None, base_url=base_url).base_url == base_url


def test_the_settings_are_frozen_and_safe_to_print() -> None:
    """Nobody changes them later, and their repr has no key."""
    config = Config(api_key=ApiKey(LIVE_KEY))
    with pytest.raises(FrozenInstanceError):
        config.read_only = True  # type: ignore[misc] - the point of the test
    assert LIVE_KEY not in f"{config} {config!r}"
    assert config.redact_key(f"Bearer {LIVE_KEY}.") == "Bearer [key removed]."
    assert Config().redact_key("nothing to redact") == "nothing to redact"


def test_the_defaults_are_the_vendor_and_every_toolset() -> None:
    """Without a setting the server is whole, and does not write less than asked."""
    config = Config()
    assert (config.api_key, config.base_url, config.sub_account) == (None, DEFAULT_BASE_URL, None)
    assert (config.toolsets, config.read_only) == (TOOLSETS, False)


@pytest.mark.parametrize(
    "sub_account",
    [
        pytest.param("sub\r\nX-Evil: 1", id="header-injection"),
        pytest.param("sub_ü", id="not-ascii"),
        pytest.param("sub\x00", id="nul"),
    ],
)
def test_a_sub_account_that_is_no_header_value_is_refused(sub_account: str) -> None:
    """It would end the header, or could not be sent."""
    with pytest.raises(ConfigError, match=r"^AGENTPHONE_SUB_ACCOUNT: "):
        Config(sub_account=sub_account)


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        pytest.param("", TOOLSETS, id="nothing"),
        pytest.param(" , ,", TOOLSETS, id="commas"),
        pytest.param("all", TOOLSETS, id="all"),
        pytest.param("calls,ALL", TOOLSETS, id="all-among-others"),
        pytest.param("calls", ("calls",), id="one"),
        pytest.param(" Webhooks , calls,calls ", ("calls", "webhooks"), id="order-case-and-space"),
    ],
)
def test_toolsets_are_chosen_by_name(text: str, chosen: tuple[str, ...]) -> None:
    assert read_toolsets(text) == chosen


def test_an_unknown_toolset_is_named_with_those_there_are() -> None:
    """A typing error does not take tools away silently."""
    with pytest.raises(ConfigError, match="fax, faxes is no toolset; there are account, agents"):
        read_toolsets("calls,faxes,fax")


@pytest.mark.parametrize(
    ("environ", "exporter"),
    [
        pytest.param({}, None, id="nothing"),
        pytest.param({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, "otlp", id="endpoint"),
        pytest.param({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318"}, "otlp", id="endpoint-of-traces"),
        pytest.param({"OTEL_TRACES_EXPORTER": " Console "}, "console", id="console"),
        pytest.param({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, None, id="none"),
        pytest.param(
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "otlp over grpc", id="grpc"
        ),
        pytest.param(
            {
                "OTEL_TRACES_EXPORTER": "otlp",
                "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
            },
            "otlp",
            id="http-for-traces",
        ),
    ],
)
def test_where_spans_go_is_read_from_the_standard_variables(environ: dict[str, str], exporter: str | None) -> None:
    """Nobody who has not set one of them sends any."""
    assert read_span_exporter(environ) == exporter


def test_who_has_no_home_folder_is_told_so_only_where_one_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container may run us as a user that its system does not know."""
    pwd = pytest.importorskip("pwd")
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    for variable in ("HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(ConfigError, match=r"^this user has no home folder: set HOME to one$"):
        read_state("")
    assert read_state("/var/ledger") == "/var/ledger"
    assert read_cache() == Path(os.devnull)
    assert read_machine({}).home == Path("/")
