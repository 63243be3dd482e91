"""Check where a call, a text or a webhook may go."""

import ipaddress
import re
from typing import Any

import httpx
import phonenumbers

from agentphone_mcp.sandbox.http.validation import BadValueError, text
from agentphone_mcp.sandbox.responses import RefusalError

_EMERGENCY = {"911", "112", "999", "933"}
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


def e164(value: Any) -> str:
    """Check that it is a possible number in E.164; refuse emergency numbers, in any form, with 403."""
    if isinstance(value, str):
        if value.removeprefix("+").removeprefix("1") in _EMERGENCY or value.removeprefix("+") in _EMERGENCY:
            raise RefusalError(403, f"{value} is an emergency number and cannot be reached.", "RESTRICTED_DESTINATION")
        if re.fullmatch(r"\+[1-9][0-9]{6,14}", value):
            possible = phonenumbers.is_possible_number_with_reason(phonenumbers.parse(value))
            if possible == phonenumbers.ValidationResult.IS_POSSIBLE:
                return value
    raise BadValueError("Phone number must be in E.164 format, e.g. +14155551234")


def is_loopback(url: str) -> bool:
    """Tell whether an http(s) URL is on this machine, the only place the sandbox delivers to by default."""
    parsed = httpx.URL(url)
    return parsed.scheme in ("http", "https") and parsed.host in _LOOPBACK


def webhook_url(value: Any) -> str:
    """Check that it is a public https URL, or (in the sandbox only) a loopback one."""
    try:
        url: str = text(1, 2_000)(value)
        parsed = httpx.URL(url)
        if is_loopback(url) or (parsed.scheme == "https" and _is_public(parsed.host)):
            return url
    except httpx.InvalidURL:
        pass
    raise BadValueError("URL must be a public https:// URL")


def _is_public(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return "." in host.strip(".") and not host.endswith((".local", ".localhost", ".internal"))
