"""Read what may stand on no command line: keys and secrets, from variables or the files that they name."""

import os
import re
import stat
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from agentphone_mcp.api.api_key import ApiKey, KeyRuleBroken, mask_keys
from agentphone_mcp.config.settings import ConfigError
from agentphone_mcp.variables import BUS_VARIABLE, KEY_FILE_VARIABLE, KEY_VARIABLE

STATE_KEY_VARIABLE = "AGENTPHONE_HTTP_STATE_KEY"
STATE_KEY_FILE_VARIABLE = "AGENTPHONE_HTTP_STATE_KEY_FILE"
WITHOUT_OPTION = {
    KEY_VARIABLE: "The key of your AgentPhone account; not needed with AGENTPHONE_SANDBOX.",
    KEY_FILE_VARIABLE: f"The path of a file that holds the key, instead of {KEY_VARIABLE}.",
    STATE_KEY_VARIABLE: "What all servers behind one address seal their questions with: openssl rand -hex 32.",
    STATE_KEY_FILE_VARIABLE: f"The path of a file that holds it, instead of {STATE_KEY_VARIABLE}.",
}
"""Variables that no option stands for, as others can read a command line, each with its help."""
_SHORTEST_STATE_KEY = 32
_UNFILLED_FIELD = re.compile(r"\$\{user_config\.\w+\}")
_UNSET_REFERENCE = re.compile(r"\$(?:AGENTPHONE_\w+|\{(?:env:)?AGENTPHONE_\w+(?::-)?\})")
"""What some hosts leave of a reference to a variable that is not set."""


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
    except KeyRuleBroken as exc:
        raise ConfigError(f"{source}: {exc}") from None


def read_key_variable(environ: Mapping[str, str]) -> str:
    """Name the variable that holds the key or says where it is, and so wins over the keychain; empty if none does."""
    return next((name for name in (KEY_VARIABLE, KEY_FILE_VARIABLE) if _value(environ, name)), "")


def complete_session_bus(environ: MutableMapping[str, str], runtime: Path = Path("/run/user")) -> None:
    """Set the D-Bus address if it is missing, so that Linux keychains can be reached.

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
    source, value = _secret(environ, STATE_KEY_VARIABLE, STATE_KEY_FILE_VARIABLE)
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
    except (OSError, ValueError, RuntimeError) as exc:
        reason = getattr(exc, "strerror", None) or "it is not a text file"
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
