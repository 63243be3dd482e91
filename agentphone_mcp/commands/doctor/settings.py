"""Check the server's settings in this environment one by one, so that every wrong one is reported."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from typing import Any, TypeVar

import click

from agentphone_mcp.api.allowlist import DEFAULT_BASE_URL, Allowlist
from agentphone_mcp.api.api_key import mask_keys
from agentphone_mcp.commands.doctor.finding import Finding, failure, ok, warning
from agentphone_mcp.commands.install.entries import TOKEN_VARIABLE
from agentphone_mcp.commands.options import serving_options
from agentphone_mcp.config.config import Config
from agentphone_mcp.config.environment import WITHOUT_OPTION, is_left_open, read_key, read_request_state_keys
from agentphone_mcp.config.from_options import SETTINGS, read_config, read_http_settings
from agentphone_mcp.config.http import check_key
from agentphone_mcp.config.settings import ConfigError

Read = TypeVar("Read")
_PREFIX = "AGENTPHONE_"
_OF_SANDBOX = "AGENTPHONE_SANDBOX_"
"""Begins the variables of `agentphone-mcp sandbox`, which are not checked here."""
_VARIABLES = {setting.variable for setting in SETTINGS} | WITHOUT_OPTION.keys() | {TOKEN_VARIABLE}
"""All that the server reads, and the token that hosts read for a remote server."""
_DEFAULT_IS_RIGHT = "Unset AGENTPHONE_BASE_URL: without it the vendor's host is asked"


@dataclass(frozen=True)
class Settings:
    """Holds the settings that other checks need; a wrong setting has its default here.

    Attributes:
        allowlist: the host of the API; None if the base URL is refused.
        timeout: the time limit of one answer of the API, in seconds.
        state: where the ledger is kept: a folder, a SQLAlchemy URL, or `IN_MEMORY`.
        has_keychain: whether the system's keychain may be asked for the key.
        is_sandbox: whether a sandbox of this process takes the place of the API.
        uses_caller_keys: whether each caller sends their own key.
    """

    allowlist: Allowlist | None
    sub_account: str | None
    timeout: float
    state: str
    has_keychain: bool
    is_sandbox: bool
    uses_caller_keys: bool


def check_settings(environ: Mapping[str, str]) -> tuple[Settings, list[Finding]]:
    """Read the settings as the server does, and report all that are wrong."""
    defaults: dict[str, Any] = {setting.name: setting.default for setting in SETTINGS}
    values_given, errors = _given(environ)
    values = defaults | values_given

    def read(*names: str) -> Config:
        return read_config(defaults | {name: values[name] for name in names}, {})

    address: list[str] = []
    # Each is read with all others at their defaults.
    configs = {name: _try(partial(read, name), address if name == "base_url" else errors) for name in values}
    _try(lambda: read_request_state_keys(environ), errors)
    account = configs["sub_account"]
    http = _try(lambda: read_http_settings(values), errors)
    if http and http.auth == "relay":
        _try(lambda: check_key(Config(read_key(environ), sub_account=account and account.sub_account), http), errors)
    settings = Settings(
        allowlist=Allowlist.for_base(values["base_url"], None) if configs["base_url"] else None,
        sub_account=account and account.sub_account,
        timeout=values["timeout"],
        state=read("state", "sandbox").ledger_location,
        has_keychain=values["keychain"] == "on",
        is_sandbox=values["sandbox"],
        uses_caller_keys=http is not None and http.auth == "relay",
    )
    remedy = "Correct it where it is set, or unset it: then the default holds"
    findings = [failure("settings", message, remedy) for message in errors] + _unknown_variables(environ)
    base_url = _base_url(values["base_url"], address, is_sandbox=settings.is_sandbox)
    return settings, [*(findings or [ok("settings", _summary(environ))]), base_url]


def _given(environ: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """Return the values of the options whose variables are set, and click's messages about invalid ones."""
    values: dict[str, Any] = {}
    errors: list[str] = []
    with click.Context(_SERVING) as context:
        for option in _SERVING.params:
            variable = str(option.envvar)
            text = environ.get(variable, "")
            if is_left_open(text):
                continue
            try:
                values[option.name or ""] = option.type_cast_value(context, text)
            except click.BadParameter as exc:
                errors.append(f"{variable}: {mask_keys(exc.message).rstrip('.')}")
    return values, errors


def _try(reading: Callable[[], Read], errors: list[str]) -> Read | None:
    try:
        return reading()
    except ConfigError as exc:
        errors.append(mask_keys(str(exc)))
        return None


def _unknown_variables(environ: Mapping[str, str]) -> list[Finding]:
    """Report variables with our prefix that are no setting, such as a misspelt one."""
    findings: list[Finding] = []
    for name in sorted(environ):
        if name.startswith(_PREFIX) and name not in _VARIABLES and not name.startswith(_OF_SANDBOX):
            near = get_close_matches(name, _VARIABLES, n=1)
            remedy = f"Did you mean {near[0]}?" if near else "Unset it, or look for the right name in the README"
            findings.append(warning("settings", f"{name} is no setting, so nobody reads it", remedy))
    return findings


def _base_url(url: str, errors: list[str], *, is_sandbox: bool) -> Finding:
    if is_sandbox:
        return ok("base URL", "that of a sandbox on this machine")
    if errors:
        return failure("base URL", errors[0], _DEFAULT_IS_RIGHT)
    named = "" if url == DEFAULT_BASE_URL else ", as AGENTPHONE_BASE_URL has it"
    return ok("base URL", f"{url}{named}", base_url=url)


def _summary(environ: Mapping[str, str]) -> str:
    ours = sorted(name for name in environ if name.startswith(_PREFIX))
    return f"all can be read: {', '.join(ours)}" if ours else "all at their defaults"


def _nothing(**_: object) -> None:
    """Do nothing; only the command's options are used."""


_SERVING = click.command()(serving_options(_nothing))
