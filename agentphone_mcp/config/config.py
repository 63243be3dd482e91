"""Describe what one server is told: its settings and their meaning, read once, checked, and frozen."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs

from agentphone_mcp.api.allowlist import DEFAULT_BASE_URL, Allowlist
from agentphone_mcp.api.api_key import ApiKey, KeyRuleBroken
from agentphone_mcp.config.settings import ConfigError, Setting, combined, read, setting
from agentphone_mcp.policy.destinations import Destinations, QuietHours, parse_countries, parse_recipients
from agentphone_mcp.policy.limits import Limits
from agentphone_mcp.policy.pricing import PriceList
from agentphone_mcp.variables import COUNTRIES_VARIABLE, QUIET_HOURS_VARIABLE, RECIPIENTS_VARIABLE, TOOLSETS


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


def read_state(place: str | None) -> str:
    """Say where the ledger is kept: the folder or database that was named, or else this user's state folder.

    Raises:
        ConfigError: if none was named, and this user has no home folder.
    """
    try:
        # Not every version says by itself that there is no home; some leave the ~ to us.
        return (place or "").strip() or str(
            platformdirs.user_state_path("agentphone-mcp", appauthor=False).expanduser()
        )
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
        countries=read(COUNTRIES_VARIABLE, parse_countries, countries),
        recipients=read(RECIPIENTS_VARIABLE, parse_recipients, recipients),
        quiet_hours=None if hours in ("", "off") else read(QUIET_HOURS_VARIABLE, QuietHours.parse, hours),
    )


@dataclass(frozen=True)
class Config:
    """Hold the settings of one server.

    Attributes:
        api_key: the account's key; None lets the server start and every call say which variable to set.
        is_shared: whether others than the operator connect.
        uses_caller_keys: whether each of these brings a key of their own, and there is none of the operator's.
        request_state_keys: keys that seal `requestState`; the first one seals, all of them open. Empty: a random key of
            this process.
    """

    api_key: ApiKey | None = None
    base_url: str = setting("base_url", DEFAULT_BASE_URL, "One of AgentPhone's two hosts, or a sandbox on loopback.")
    sub_account: str | None = setting(
        "sub_account",
        None,
        "Scope everything to a child account.",
        read=lambda account: (account or "").strip() or None,
    )
    toolsets: tuple[str, ...] = setting(
        "toolsets", "all", f"Comma-separated: {', '.join(TOOLSETS)}.", read=read_toolsets
    )
    read_only: bool = setting("read_only", False, "Only tools that change nothing.")
    timeout: float = setting("timeout", 30.0, "Seconds that one answer of the API may take.", bounds=(1, 300))
    requests_per_minute: int = setting(
        "requests_per_minute",
        600,
        "How many requests may go to AgentPhone with one key; half of them for one caller where several share it.",
        bounds=(10, 1_000_000),
    )
    ledger_location: str = setting(
        "state",
        None,
        "Where the ledger is kept: a folder, or a PostgreSQL URL for servers on several machines.",
        read=read_state,
    )
    limits: Limits = setting(
        "limits",
        "",
        "Limits that differ from the default ones, for example calls=50/hour,spend=25/day,numbers=off.",
        read=Limits.parse,
    )
    prices: PriceList = setting(
        "rates",
        "",
        "Prices in dollars that differ, for example hosted_minute=0.25,text=0.03.",
        read=PriceList.parse,
    )
    requires_human_approval: bool = setting(
        "approval",
        "confirm",
        "human: the host has to ask its user before anything is spent or destroyed.",
        choices=("confirm", "human"),
        read=lambda word: word == "human",
    )
    approval_timeout: float = setting(
        "approval_timeout", 300.0, "Seconds that this user has to answer.", bounds=(1, 600)
    )
    destinations: Destinations = combined(
        Setting("allowed_countries", "US,CA", "Where calls and texts may go: two-letter codes, or any."),
        Setting("allowed_recipients", "any", "Only these numbers may be called and texted, for trials."),
        Setting(
            "quiet_hours",
            "off",
            "When nobody is called or texted, by their own clock, for example 21:00-08:00.",
        ),
        read=read_destinations,
    )
    ai_disclosure: bool = setting(
        "ai_disclosure",
        "on",
        "Say at the start of every call that an AI is speaking.",
        choices=("on", "off"),
        read=lambda word: word == "on",
    )
    send_traceparent: bool = setting(
        "send_traceparent", False, "Tell AgentPhone which of your traces a request belongs to (W3C traceparent)."
    )
    is_shared: bool = False
    uses_caller_keys: bool = False
    request_state_keys: tuple[str, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        try:
            Allowlist.for_base(self.base_url, self.api_key)
        except KeyRuleBroken as exc:
            raise ConfigError(self.redact_key(f"AGENTPHONE_BASE_URL: {exc}")) from None
        if self.sub_account is not None and not re.fullmatch(r"[!-~]+", self.sub_account):
            raise ConfigError("AGENTPHONE_SUB_ACCOUNT: an account id has only printable ASCII characters and no spaces")

    def redact_key(self, text: str) -> str:
        """Remove the key from a text, wherever it stands."""
        return self.api_key.redact_in(text) if self.api_key else text
