"""Redact secrets of entries and servers in a report, which people may post in public."""

import re
import shlex
import subprocess

from agentphone_mcp.api.api_key import mask_keys
from agentphone_mcp.commands.doctor.host_entries import SECRET_NAME, Launch

_REMOVED = "[removed]"
_SHORTEST = 4
"""The least length of a secret; a shorter value is a switch such as `AUTH=1`, and occurs in any text."""
_LOGIN_IN_URL = re.compile(r"(?<=://)[^/\s@]+@")
_CREDENTIALS = re.compile(r"\b(Bearer|Basic)\s+\S{8,}", re.IGNORECASE)
_OPTION = r"--?[\w-]*(?:key|token|secret|password)"
_SECRET_OPTION = re.compile(_OPTION, re.IGNORECASE)
_SECRET_IN_OPTION = re.compile(rf"({_OPTION})=.+", re.IGNORECASE | re.DOTALL)


def redact(text: str) -> str:
    """Redact keys, logins in URLs and credentials of headers in a text."""
    return mask_keys(_CREDENTIALS.sub(rf"\1 {_REMOVED}", _LOGIN_IN_URL.sub("", text)))


def redact_secrets_of(launch: Launch, text: str) -> str:
    """Redact also the values of the launch's variables with names of secrets, longest first."""
    held = {value for name, value in launch.environ.items() if SECRET_NAME.search(name) and len(value) >= _SHORTEST}
    for value in sorted(held, key=len, reverse=True):
        text = text.replace(value, _REMOVED)
    return redact(text)


def command_line(launch: Launch, platform: str) -> str:
    """Quote the command for the shell of a system, named as in `sys.platform`, without its secrets."""
    given = (launch.command, *launch.arguments)
    words = [
        _REMOVED if _SECRET_OPTION.fullmatch(before) else redact_secrets_of(launch, _without_value(word))
        for before, word in zip(("", *given), given, strict=False)
    ]
    return subprocess.list2cmdline(words) if platform == "win32" else shlex.join(words)


def _without_value(word: str) -> str:
    option = _SECRET_IN_OPTION.fullmatch(word)
    return f"{option[1]}={_REMOVED}" if option else word
