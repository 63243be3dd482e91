"""What a server is told at its start: flags and environment, read once, checked, and frozen."""

import os
import re
import stat
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import platformdirs

from agentphone_mcp.api.key import DEFAULT_BASE_URL, Allowlist, ApiKey, KeyRuleBroken, mask_keys
from agentphone_mcp.guard.destinations import Destinations, QuietHours, read_countries, read_recipients
from agentphone_mcp.guard.limits import Limits
from agentphone_mcp.guard.rates import Rates

Setting = TypeVar("Setting")
TOOLSETS = ("account", "agents", "numbers", "calls", "messages", "webhooks", "contacts")
KEY_VARIABLE = "AGENTPHONE_API_KEY"
KEY_FILE_VARIABLE = "AGENTPHONE_API_KEY_FILE"
BUS_VARIABLE = "DBUS_SESSION_BUS_ADDRESS"
_SHORTEST_STATE_KEY = 32
_UNFILLED_FIELD = re.compile(r"\$\{user_config\.\w+\}")
_UNSET_REFERENCE = re.compile(r"\$(?:AGENTPHONE_\w+|\{(?:env:)?AGENTPHONE_\w+(?::-)?\})")
"""What some hosts leave of a reference to a variable that is not set."""


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
        rates: what things cost.
        destinations: who may be called and texted, and when.
        needs_person: whether the host has to ask its user before anything is spent or destroyed.
        approval_timeout: seconds that this user has to answer.
        ai_disclosure: whether every call says at its start that an AI is speaking.
        send_traceparent: whether the vendor, and not only a sandbox, is told which trace a request belongs to.
        is_shared: whether others than the operator connect.
        relays: whether each of these brings a key of their own, and there is none of the operator's.
        request_state_keys: what seals a question to a person on its way through the host, the first of them; the
            others are still understood. Without any, nobody but this process understands the answers.
    """

    api_key: ApiKey | None = None
    base_url: str = DEFAULT_BASE_URL
    sub_account: str | None = None
    toolsets: tuple[str, ...] = TOOLSETS
    read_only: bool = False
    timeout: float = 30.0
    state: str = field(default_factory=lambda: read_state(""))
    limits: Limits = field(default_factory=lambda: Limits.parse(""))
    rates: Rates = field(default_factory=Rates)
    destinations: Destinations = field(default_factory=Destinations)
    needs_person: bool = False
    approval_timeout: float = 300.0
    ai_disclosure: bool = True
    send_traceparent: bool = False
    is_shared: bool = False
    relays: bool = False
    request_state_keys: tuple[str, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        try:
            Allowlist.for_base(self.base_url, self.api_key)
        except KeyRuleBroken as broken:
            raise ConfigError(self.cut_key(f"AGENTPHONE_BASE_URL: {broken}")) from None
        if self.sub_account is not None and not re.fullmatch(r"[!-~]+", self.sub_account):
            raise ConfigError("AGENTPHONE_SUB_ACCOUNT: an account id has only printable ASCII characters and no spaces")

    def cut_key(self, text: str) -> str:
        """Remove the key from a text, wherever it stands."""
        return self.api_key.cut_from(text) if self.api_key else text


def read_key(environ: Mapping[str, str]) -> ApiKey | None:
    """Find the key in the environment, or in the file that the environment names; never on a command line.

    Raises:
        ConfigError: if both are set, the file cannot be read, or the text is no key.
    """
    source, value = _secret(environ, KEY_VARIABLE, KEY_FILE_VARIABLE)
    if not value:
        return None
    try:
        return ApiKey(value)
    except KeyRuleBroken as broken:
        raise ConfigError(f"{source}: {broken}") from None


def read_key_variable(environ: Mapping[str, str]) -> str:
    """Name the variable that holds the key or says where it is, and so wins over the keychain; empty if none does."""
    return next((name for name in (KEY_VARIABLE, KEY_FILE_VARIABLE) if _value(environ, name)), "")


def complete_session_bus(environ: MutableMapping[str, str], runtime: Path = Path("/run/user")) -> None:
    """Write into the environment, where it is not in it, where this user's D-Bus is: by it Linux reaches keychains.

    Hosts pass only a few variables on to the servers they start, and this is not one of them.
    """
    if BUS_VARIABLE in environ or not hasattr(os, "getuid"):
        return
    bus = Path(environ.get("XDG_RUNTIME_DIR") or runtime / str(os.getuid())) / "bus"
    with suppress(OSError):
        if stat.S_ISSOCK(bus.stat().st_mode):
            environ[BUS_VARIABLE] = f"unix:path={quote(str(bus))}"


def read_request_state_keys(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Find what all replicas of a server seal their questions with, one key a line, of which the first seals.

    Raises:
        ConfigError: if two places are named, the file cannot be read, or a key is too short to be one.
    """
    source, value = _secret(environ, "AGENTPHONE_HTTP_STATE_KEY", "AGENTPHONE_HTTP_STATE_KEY_FILE")
    keys = tuple(dict.fromkeys(line.strip() for line in value.splitlines() if line.strip()))
    if any(len(key.encode()) < _SHORTEST_STATE_KEY for key in keys):
        raise ConfigError(f"{source}: a key has {_SHORTEST_STATE_KEY} characters or more: openssl rand -hex 32")
    return keys


def _secret(environ: Mapping[str, str], variable: str, file_variable: str) -> tuple[str, str]:
    """Read a secret from a variable, or from the file that another names; says which it was, for errors.

    Raises:
        ConfigError: if both are set, or the file cannot be read or is empty.
    """
    value, file = (_value(environ, name) for name in (variable, file_variable))
    if value and file:
        raise ConfigError(f"{variable} and {file_variable} are both set: keep one")
    if not file:
        return variable, value
    try:
        # Notepad begins a text file with a mark that is no part of the secret.
        value = Path(file).expanduser().read_text(encoding="utf-8-sig").strip()
    except (OSError, ValueError, RuntimeError) as unreadable:
        reason = getattr(unreadable, "strerror", None) or "it is not a text file"
        # Some paste the key itself here.
        raise ConfigError(f"{file_variable}: {mask_keys(file)!r} cannot be read: {reason}") from None
    if not value:
        raise ConfigError(f"{file_variable}: {file!r} is empty")
    return file_variable, value


def _value(environ: Mapping[str, str], variable: str) -> str:
    value = environ.get(variable, "").strip()
    return "" if is_left_open(value) or _UNSET_REFERENCE.fullmatch(value) else value


def is_left_open(value: str) -> bool:
    """Say whether a variable is there without a value: blank, or what a bundle's form puts for an empty field.

    Claude Desktop passes `${user_config.read_only}` on as it stands where nobody filled that field in.
    """
    return not value.strip() or _UNFILLED_FIELD.fullmatch(value.strip()) is not None


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
        countries=read("AGENTPHONE_ALLOWED_COUNTRIES", read_countries, countries),
        recipients=read("AGENTPHONE_ALLOWED_RECIPIENTS", read_recipients, recipients),
        quiet_hours=None if hours in ("", "off") else read("AGENTPHONE_QUIET_HOURS", QuietHours.parse, hours),
    )


def read_span_exporter(environ: Mapping[str, str]) -> str | None:
    """Say how spans are to leave by OpenTelemetry's own variables: `otlp`, `console`, another's name, or not at all."""
    named = environ.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    endpoint = any(environ.get(name) for name in ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"))
    exporter = named or ("otlp" if endpoint else "none")
    protocols = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
    protocol = next(filter(None, (environ.get(name, "").strip() for name in protocols)), "http/protobuf")
    if exporter == "otlp" and protocol != "http/protobuf":
        return f"otlp over {protocol}"
    return None if exporter == "none" else exporter


def read(variable: str, parse: Callable[[str], Setting], text: str) -> Setting:
    """Read one setting.

    Raises:
        ConfigError: naming the variable.
    """
    try:
        return parse(text)
    except ValueError as wrong:
        raise ConfigError(f"{variable}: {wrong}") from None
