"""Read what a server is told from the options of serving: in one way for the server and for the doctor."""

from collections.abc import Mapping
from typing import Any

from agentphone_mcp.api.allowlist import DEFAULT_BASE_URL
from agentphone_mcp.config.config import Config
from agentphone_mcp.config.environment import read_key, read_request_state_keys
from agentphone_mcp.config.http import HttpSettings
from agentphone_mcp.config.settings import ConfigError, Setting, read_fields, settings_of
from agentphone_mcp.policy.ledger.location import IN_MEMORY

SETTINGS = (
    Setting(
        "transport",
        "stdio",
        "How hosts reach the server; streamable-http serves /mcp, and sse also /sse for old clients.",
        choices=("stdio", "streamable-http", "sse"),
    ),
    *settings_of(HttpSettings),
    *settings_of(Config),
    Setting(
        "keychain",
        "on",
        "off: leave the system's keychain alone, where `agentphone-mcp login` keeps the key.",
        choices=("on", "off"),
    ),
    Setting(
        "log_level",
        "WARNING",
        "What is written to stderr.",
        choices=("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"),
        ignores_case=True,
    ),
    Setting(
        "log_format",
        "text",
        "json: one object a line, with the ids of the trace if there is one.",
        choices=("text", "json"),
    ),
    Setting("sandbox", False, "Use an AgentPhone of its own on this machine: no account, no key, no money."),
    Setting("sandbox_speed", 1.0, "How much faster than real time the sandbox's calls go.", bounds=(0.1, 1000)),
)
"""All settings of serving, in the order of `--help`."""


def read_config(options: Mapping[str, Any], environ: Mapping[str, str]) -> Config:
    """Read every setting, without looking for what takes its time: the sandbox and the keychain.

    Options are the values of `SETTINGS` by name; the environment has keys, for which no option stands.

    Raises:
        ConfigError: for the first that is wrong.
    """
    auth = options["http_auth"] if options["transport"] != "stdio" else "none"
    given: dict[str, Any] = {"is_shared": auth not in ("none", "local"), "uses_caller_keys": auth == "relay"}
    if options["sandbox"]:
        given["base_url"] = DEFAULT_BASE_URL
        if not options["state"]:
            given["ledger_location"] = IN_MEMORY
    else:
        given["api_key"] = read_key(environ)
    values = read_fields(Config, options, given)
    return Config(**values, request_state_keys=read_request_state_keys(environ))


def read_http_settings(options: Mapping[str, Any]) -> HttpSettings | None:
    """Read how it is reached over HTTP; None if it serves over stdio.

    Raises:
        ConfigError: if it could not be served so.
    """
    if options["transport"] == "stdio":
        return None
    if options["sandbox"] and options["http_auth"] == "relay":
        raise ConfigError("--sandbox has one key, so there is nothing to relay: run `agentphone-mcp sandbox`")
    return HttpSettings(**read_fields(HttpSettings, options, {"transport": options["transport"]}))
