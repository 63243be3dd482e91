"""From the options of serving to what a server is told: one way for the server and for the doctor."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agentphone_mcp.api.allowlist import DEFAULT_BASE_URL
from agentphone_mcp.config.config import Config, ConfigError, read, read_destinations, read_state, read_toolsets
from agentphone_mcp.config.environment import read_key, read_request_state_keys
from agentphone_mcp.policy.ledger.location import IN_MEMORY
from agentphone_mcp.policy.limits import Limits
from agentphone_mcp.policy.pricing import PriceList

if TYPE_CHECKING:
    from agentphone_mcp.config.http import HttpSettings


def read_config(options: Mapping[str, Any], environ: Mapping[str, str]) -> Config:
    """Read every setting, without looking for what takes its time: the sandbox and the keychain.

    Args:
        options: those of `agentphone_mcp.commands.options`, by name.
        environ: the variables that no option stands for: of keys, and of files that hold them.

    Raises:
        ConfigError: for the first that is wrong.
    """
    auth = options["http_auth"] if options["transport"] != "stdio" else "none"
    is_sandbox = options["sandbox"]
    return Config(
        api_key=None if is_sandbox else read_key(environ),
        base_url=DEFAULT_BASE_URL if is_sandbox else options["base_url"],
        sub_account=(options["sub_account"] or "").strip() or None,
        toolsets=read_toolsets(options["toolsets"]),
        read_only=options["read_only"],
        timeout=options["timeout"],
        ledger_location=IN_MEMORY if is_sandbox and not options["state"] else read_state(options["state"] or ""),
        limits=read("AGENTPHONE_LIMITS", Limits.parse, options["limits"]),
        prices=read("AGENTPHONE_RATES", PriceList.parse, options["rates"]),
        destinations=read_destinations(
            options["allowed_countries"], options["allowed_recipients"], options["quiet_hours"]
        ),
        requires_human_approval=options["approval"] == "human",
        approval_timeout=options["approval_timeout"],
        ai_disclosure=options["ai_disclosure"] == "on",
        send_traceparent=options["send_traceparent"],
        is_shared=auth != "none",
        uses_caller_keys=auth == "relay",
        request_state_keys=read_request_state_keys(environ),
    )


def read_http_settings(options: Mapping[str, Any]) -> "HttpSettings | None":
    """Read how it is reached over HTTP; None if it serves over stdio.

    Args:
        options: as for `read_config`.

    Raises:
        ConfigError: if it could not be served so.
    """
    if options["transport"] == "stdio":
        return None
    from agentphone_mcp.config.http import HttpSettings, read_names

    if options["sandbox"] and options["http_auth"] == "relay":
        raise ConfigError("--sandbox has one key, so there is nothing to relay: run `agentphone-mcp sandbox`")
    return HttpSettings(
        transport=options["transport"],
        host=options["host"],
        port=options["port"],
        auth=options["http_auth"],
        tokens_file=options["http_tokens_file"].strip(),
        jwt_issuer=options["http_jwt_issuer"].strip(),
        jwks_url=options["http_jwks_url"].strip(),
        resource_url=options["http_resource_url"].strip(),
        allowed_hosts=read_names(options["http_allowed_hosts"]),
        allowed_origins=read_names(options["http_allowed_origins"]),
        max_sessions=options["http_max_sessions"],
        max_calls=options["http_max_calls"],
        idle_timeout=options["http_idle_timeout"],
    )
