"""Tell whether a setting in a project's file loosens a rule: limits, destinations, approval and disclosure."""

import math
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from agentphone_mcp.config.config import read_toolsets
from agentphone_mcp.config.from_options import SETTINGS
from agentphone_mcp.config.settings import Setting
from agentphone_mcp.policy.destinations import QuietHours, parse_countries, parse_recipients
from agentphone_mcp.policy.limits import Limits

Compare = Callable[[str, str], bool]
"""Tells whether a value is at least as strict as another; ValueError if either cannot be read."""
_YES = ("1", "true", "t", "yes", "y", "on")


def setting_named(variable: str) -> Setting | None:
    """Find the setting that a variable holds."""
    return next((setting for setting in SETTINGS if setting.variable == variable), None)


def setting_of_flag(flag: str) -> Setting | None:
    """Find the setting of an option on the command line."""
    return next((setting for setting in SETTINGS if setting.flag == flag), None)


def loosens_nothing(setting: Setting, value: str, own: str) -> bool:
    """Tell whether a value is at least as strict as the user's own, or as the default where they have none.

    A setting that no rule depends on may have any value that can be read; what decides where the ledger is, whose
    account is used, what things cost, or who may connect, may not be set by others at all.
    """
    compare = _COMPARED.get(setting.name)
    default = "" if setting.default is None else str(setting.default)
    with suppress(ValueError):
        return compare is not None and compare(value, own.strip() or default)
    return False


def _is_switch_on(value: str, _: str) -> bool:
    return value.strip().lower() in _YES


def _is(word: str, value: str, _: str) -> bool:
    return value == word


def _is_one_of(words: tuple[str, ...], value: str, _: str) -> bool:
    return value.strip().upper() in words


def _is_number(value: str, _: str) -> bool:
    return math.isfinite(float(value))


def _is_no_longer(value: str, own: str) -> bool:
    return 0 < float(value) <= float(own)


def _is_part(read: Callable[[str], Any], value: str, of: str) -> bool:
    """Compare two sets, of which None is the set of all."""
    ours, theirs = read(of), read(value)
    return ours is None or (theirs is not None and set(theirs) <= set(ours))


def _are_quiet_hours(value: str, own: str) -> bool:
    quiet = QuietHours.parse(value)
    return own in ("", "off") or quiet == QuietHours.parse(own)


def _are_limits(value: str, own: str) -> bool:
    """Compare every limit: over any window of the user's own, the other must allow no more."""
    given = {limit.name: limit for limit in Limits.parse(value).limits}
    for limit in Limits.parse(own).limits:
        other = given.get(limit.name)
        if other is None or other.maximum * math.ceil(limit.seconds / other.seconds) > limit.maximum:
            return False
    return True


_LEVELS = ("INFO", "WARNING", "ERROR", "CRITICAL")
_COMPARED: dict[str, Compare] = {
    "read_only": _is_switch_on,
    "sandbox": _is_switch_on,
    "approval": partial(_is, "human"),
    "ai_disclosure": partial(_is, "on"),
    "keychain": partial(_is, "off"),
    "limits": _are_limits,
    "allowed_countries": partial(_is_part, parse_countries),
    "allowed_recipients": partial(_is_part, parse_recipients),
    "toolsets": partial(_is_part, read_toolsets),
    "quiet_hours": _are_quiet_hours,
    "log_level": partial(_is_one_of, _LEVELS),
    "log_format": partial(_is_one_of, ("TEXT", "JSON")),
    "timeout": _is_no_longer,
    "approval_timeout": _is_no_longer,
    "sandbox_speed": _is_number,
}
