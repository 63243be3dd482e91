"""What a hosted server refuses to start with: each of these would let strangers in, or keep everybody out."""

from dataclasses import replace
from typing import Any

import pytest

from agentphone_mcp.api.api_key import ApiKey
from agentphone_mcp.config.config import Config
from agentphone_mcp.config.environment import read_request_state_keys
from agentphone_mcp.config.http import HttpSettings, check_key, read_names
from agentphone_mcp.config.settings import ConfigError
from tests.support import LIVE_KEY

JWT = {"auth": "jwt", "jwt_issuer": "https://issuer.example", "resource_url": "https://phone.example/mcp"}


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "phone.example"])
def test_everybody_is_never_let_in_without_being_known(host: str) -> None:
    """The vendor's own server answers a stranger with the operator's key; ours does not start."""
    with pytest.raises(ConfigError, match="AGENTPHONE_HTTP_AUTH"):
        HttpSettings(host=host, allowed_hosts=("phone.example",))
    with pytest.raises(ConfigError, match="AGENTPHONE_HTTP_ALLOWED_HOSTS"):
        HttpSettings(host=host, auth="relay")
    assert not HttpSettings(host=host, auth="relay", allowed_hosts=("phone.example",)).is_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_this_machine_alone_needs_no_credentials(host: str) -> None:
    settings = HttpSettings(host=host)
    assert settings.is_loopback
    assert settings.in_url in settings.known_hosts
    assert f"http://{settings.in_url}:*" in settings.known_origins


def test_a_name_for_strangers_needs_credentials_on_loopback_too() -> None:
    """Whoever names a host has put something in front that lets others reach loopback."""
    with pytest.raises(ConfigError, match="AGENTPHONE_HTTP_AUTH: everybody"):
        HttpSettings(allowed_hosts=("phone.example",))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        pytest.param({"auth": "token"}, "AGENTPHONE_HTTP_TOKENS_FILE is not set", id="token-without-file"),
        pytest.param(JWT | {"jwt_issuer": ""}, "AGENTPHONE_HTTP_JWT_ISSUER is not set", id="jwt-without-issuer"),
        pytest.param(JWT | {"resource_url": ""}, "AGENTPHONE_HTTP_RESOURCE_URL is not set", id="jwt-without-url"),
        pytest.param({"tokens_file": "/t"}, "AGENTPHONE_HTTP_AUTH is none and not token", id="file-without-token"),
        pytest.param(JWT | {"auth": "relay"}, "AGENTPHONE_HTTP_AUTH is relay and not jwt", id="issuer-without-jwt"),
        pytest.param({"jwks_url": "https://x.example"}, "AGENTPHONE_HTTP_JWKS_URL is set", id="keys-without-jwt"),
    ],
)
def test_a_setting_of_another_way_is_a_mistake_that_is_named(settings: dict[str, Any], named: str) -> None:
    """Whoever sets it believes that it keeps strangers out."""
    with pytest.raises(ConfigError, match=named):
        HttpSettings(**settings)


@pytest.mark.parametrize("name", ["https://phone.example", "*", "*.example", "phone.example/mcp", "a b", "u@h"])
def test_a_host_is_a_host(name: str) -> None:
    """A wildcard or a URL would never match, or match too much."""
    with pytest.raises(ConfigError, match="is no host"):
        HttpSettings(auth="relay", allowed_hosts=(name,))


@pytest.mark.parametrize(
    "origin", ["phone.example", "*", "https://*.example", "null", "https://a.example/x", "file://x"]
)
def test_an_origin_is_an_origin(origin: str) -> None:
    """No web page may use it unless its very origin was named."""
    with pytest.raises(ConfigError, match="is no origin"):
        HttpSettings(allowed_origins=(origin,))


def test_names_are_read_as_people_write_them() -> None:
    """Case and blanks mean nothing, nor a slash at the end."""
    assert read_names(" Phone.Example , https://CHAT.example/ ,, ") == ("phone.example", "https://chat.example")


def test_relaying_has_no_key_of_the_operators() -> None:
    relay = HttpSettings(auth="relay")
    check_key(Config(uses_caller_keys=True), relay)
    with pytest.raises(ConfigError, match="leave AGENTPHONE_API_KEY out, and AGENTPHONE_API_KEY_FILE"):
        check_key(Config(ApiKey(LIVE_KEY)), relay)
    with pytest.raises(ConfigError, match="leave AGENTPHONE_SUB_ACCOUNT out"):
        check_key(Config(sub_account="acc_1"), relay)


def test_callers_that_use_the_operators_key_need_one() -> None:
    """Better said at the start than at the first call of a colleague."""
    for settings in (HttpSettings(auth="token", tokens_file="/t"), HttpSettings(**JWT)):
        with pytest.raises(ConfigError, match="AGENTPHONE_API_KEY is not set"):
            check_key(Config(), settings)
        check_key(Config(ApiKey(LIVE_KEY)), settings)
    check_key(Config(), HttpSettings())


def test_a_name_is_known_at_every_port() -> None:
    """A balancer may publish another one; a rebound name is still another name."""
    settings = replace(HttpSettings(auth="relay", allowed_hosts=("phone.example",)), host="0.0.0.0")
    assert settings.known_hosts == ["phone.example", "phone.example:*"]
    assert settings.known_origins == []


def test_the_keys_of_request_state_come_from_one_place(tmp_path) -> None:
    old, new = "o" * 32, "n" * 32
    file = tmp_path / "keys"
    file.write_text(f"{new}\n\n{old}\n{new}\n", encoding="utf-8")
    variable = {"AGENTPHONE_HTTP_STATE_KEY": new}
    in_file = {"AGENTPHONE_HTTP_STATE_KEY_FILE": str(file)}
    assert read_request_state_keys({}) == ()
    assert read_request_state_keys(variable) == (new,)
    assert read_request_state_keys(in_file) == (new, old)
    with pytest.raises(ConfigError, match="both set"):
        read_request_state_keys(variable | in_file)
    with pytest.raises(ConfigError, match="AGENTPHONE_HTTP_STATE_KEY: a key has 32 characters or more") as short:
        read_request_state_keys({"AGENTPHONE_HTTP_STATE_KEY": "hunter2hunter2"})
    assert "hunter2" not in str(short.value)
    assert new not in repr(Config(request_state_keys=(new,)))
