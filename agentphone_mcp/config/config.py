"""What a server is told at its start: flags and environment, read once, checked, and frozen."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import platformdirs

from agentphone_mcp.api.allowlist import DEFAULT_BASE_URL, Allowlist
from agentphone_mcp.api.api_key import ApiKey, KeyRuleBroken
from agentphone_mcp.policy.destinations import Destinations, QuietHours, parse_countries, parse_recipients
from agentphone_mcp.policy.limits import Limits
from agentphone_mcp.policy.pricing import PriceList
from agentphone_mcp.variables import TOOLSETS

Setting = TypeVar("Setting")


class ConfigError(ValueError):
    """A setting is wrong; the message is one sentence for the person who starts the server."""


@dataclass(frozen=True)
class Config:
    """The settings of one server.

    Attributes:
        api_key: the account's key; None lets the server start and every call say which variable to set.
        base_url: one of the vendor's hosts, or a loopback address for a sandbox.
        sub_account: the child account that requests are scoped to.
        toolsets: which groups of tools exist, in the order of `TOOLSETS`.
        read_only: leave only the tools that change nothing; wins over every other setting.
        timeout: seconds that one answer of the API may take.
        state: where the ledger is kept: a folder, or a SQLAlchemy URL.
        limits: how much may be done in how long.
        prices: what things cost.
        destinations: who may be called and texted, and when.
        requires_human_approval: whether the host has to ask its user before anything is spent or destroyed.
        approval_timeout: seconds that this user has to answer.
        ai_disclosure: whether every call says at its start that an AI is speaking.
        send_traceparent: whether the vendor, and not only a sandbox, is told which trace a request belongs to.
        is_shared: whether others than the operator connect.
        uses_caller_keys: whether each of these brings a key of their own, and there is none of the operator's.
        request_state_keys: what seals a question to a person on its way through the host, the first of them; the
            others are still understood. Without any, nobody but this process understands the answers.
    """

    api_key: ApiKey | None = None
    base_url: str = DEFAULT_BASE_URL
    sub_account: str | None = None
    toolsets: tuple[str, ...] = TOOLSETS
    read_only: bool = False
    timeout: float = 30.0
    ledger_location: str = field(default_factory=lambda: read_state(""))
    limits: Limits = field(default_factory=lambda: Limits.parse(""))
    prices: PriceList = field(default_factory=PriceList)
    destinations: Destinations = field(default_factory=Destinations)
    requires_human_approval: bool = False
    approval_timeout: float = 300.0
    ai_disclosure: bool = True
    send_traceparent: bool = False
    is_shared: bool = False
    uses_caller_keys: bool = False
    request_state_keys: tuple[str, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        try:
            Allowlist.for_base(self.base_url, self.api_key)
        except KeyRuleBroken as broken:
            raise ConfigError(self.redact_key(f"AGENTPHONE_BASE_URL: {broken}")) from None
        if self.sub_account is not None and not re.fullmatch(r"[!-~]+", self.sub_account):
            raise ConfigError("AGENTPHONE_SUB_ACCOUNT: an account id has only printable ASCII characters and no spaces")

    def redact_key(self, text: str) -> str:
        """Remove the key from a text, wherever it stands."""
        return self.api_key.redact_in(text) if self.api_key else text


def read_toolsets(text: str) -> tuple[str, ...]:
    """Read a comma-separated choice of toolsets; `all` or nothing is all of them.

    Raises:
        ConfigError: if one of the names is no toolset.
    """
    chosen = {name.strip().lower() for name in text.split(",") if name.strip()}
    if not chosen or "all" in chosen:
        return TOOLSETS
    if unknown := sorted(chosen - set(TOOLSETS)):
        raise ConfigError(f"AGENTPHONE_TOOLSETS: {', '.join(unknown)} is no toolset; there are {', '.join(TOOLSETS)}")
    return tuple(name for name in TOOLSETS if name in chosen)


def read_state(place: str) -> str:
    """Say where the ledger is kept: the folder or database that was named, or else this user's state folder.

    Raises:
        ConfigError: if none was named, and this user has no home folder.
    """
    try:
        # Not every version says by itself that there is no home; some leave the ~ to us.
        return place.strip() or str(platformdirs.user_state_path("agentphone-mcp", appauthor=False).expanduser())
    except RuntimeError:
        raise ConfigError("this user has no home folder: set HOME to one") from None


def read_cache() -> Path:
    """Say where is kept what may be lost: this user's cache folder, or nowhere for one without a home folder."""
    try:
        return platformdirs.user_cache_path("agentphone-mcp", appauthor=False).expanduser()
    except RuntimeError:
        return Path(os.devnull)


def read_destinations(countries: str, recipients: str, quiet_hours: str) -> Destinations:
    """Read who may be called and texted, and when.

    Raises:
        ConfigError: naming the variable that cannot be read.
    """
    hours = quiet_hours.strip()
    return Destinations(
        countries=read("AGENTPHONE_ALLOWED_COUNTRIES", parse_countries, countries),
        recipients=read("AGENTPHONE_ALLOWED_RECIPIENTS", parse_recipients, recipients),
        quiet_hours=None if hours in ("", "off") else read("AGENTPHONE_QUIET_HOURS", QuietHours.parse, hours),
    )


def read(variable: str, parse: Callable[[str], Setting], text: str) -> Setting:
    """Read one setting.

    Raises:
        ConfigError: naming the variable.
    """
    try:
        return parse(text)
    except ValueError as wrong:
        raise ConfigError(f"{variable}: {wrong}") from None
