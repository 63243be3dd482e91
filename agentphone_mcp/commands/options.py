"""The options of serving: flag, then environment, then default."""

from collections.abc import Callable
from functools import reduce
from typing import Any, TypeVar

import click

from agentphone_mcp.api.allowlist import DEFAULT_BASE_URL
from agentphone_mcp.commands.http_options import HTTP_OPTIONS
from agentphone_mcp.commands.option_types import Amount, setting
from agentphone_mcp.variables import TOOLSETS

Command = TypeVar("Command", bound=Callable[..., Any])
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


BASE_URL = setting(
    "--base-url",
    default=DEFAULT_BASE_URL,
    envvar="AGENTPHONE_BASE_URL",
    help="One of AgentPhone's two hosts, or a sandbox on loopback.",
)
KEYCHAIN = setting(
    "--keychain",
    type=click.Choice(["on", "off"]),
    default="on",
    envvar="AGENTPHONE_KEYCHAIN",
    help="off: leave the system's keychain alone, where `agentphone-mcp login` keeps the key.",
)
_OPTIONS = [
    setting(
        "--transport",
        type=click.Choice(["stdio", "streamable-http", "sse"]),
        default="stdio",
        envvar="AGENTPHONE_TRANSPORT",
        help="How hosts reach the server; streamable-http serves /mcp, and sse also /sse for old clients.",
    ),
    *HTTP_OPTIONS,
    BASE_URL,
    KEYCHAIN,
    setting("--sub-account", envvar="AGENTPHONE_SUB_ACCOUNT", help="Scope everything to a child account."),
    setting(
        "--toolsets",
        default="all",
        envvar="AGENTPHONE_TOOLSETS",
        help=f"Comma-separated: {', '.join(TOOLSETS)}.",
    ),
    setting(
        "--read-only",
        is_flag=True,
        envvar="AGENTPHONE_READ_ONLY",
        help="Only tools that change nothing.",
    ),
    setting(
        "--timeout",
        type=Amount(1, 300),
        default=30.0,
        envvar="AGENTPHONE_TIMEOUT",
        help="Seconds that one answer of the API may take.",
    ),
    setting(
        "--state",
        envvar="AGENTPHONE_STATE",
        help="Where the ledger is kept: a folder, or a PostgreSQL URL for servers on several machines.",
    ),
    setting(
        "--limits",
        default="",
        envvar="AGENTPHONE_LIMITS",
        help="Caps that differ from the default ones, for example calls=50/hour,spend=25/day,numbers=off.",
    ),
    setting(
        "--rates",
        default="",
        envvar="AGENTPHONE_RATES",
        help="Prices in dollars that differ, for example hosted_minute=0.25,text=0.03.",
    ),
    setting(
        "--approval",
        type=click.Choice(["confirm", "human"]),
        default="confirm",
        envvar="AGENTPHONE_APPROVAL",
        help="human: the host has to ask its user before anything is spent or destroyed.",
    ),
    setting(
        "--approval-timeout",
        type=Amount(1, 600),
        default=300.0,
        envvar="AGENTPHONE_APPROVAL_TIMEOUT",
        help="Seconds that this user has to answer.",
    ),
    setting(
        "--allowed-countries",
        default="US,CA",
        envvar="AGENTPHONE_ALLOWED_COUNTRIES",
        help="Where calls and texts may go: two-letter codes, or any.",
    ),
    setting(
        "--allowed-recipients",
        default="any",
        envvar="AGENTPHONE_ALLOWED_RECIPIENTS",
        help="Only these numbers may be called and texted, for trials.",
    ),
    setting(
        "--quiet-hours",
        default="off",
        envvar="AGENTPHONE_QUIET_HOURS",
        help="When nobody is called or texted, by their own clock, for example 21:00-08:00.",
    ),
    setting(
        "--ai-disclosure",
        type=click.Choice(["on", "off"]),
        default="on",
        envvar="AGENTPHONE_AI_DISCLOSURE",
        help="Say at the start of every call that an AI is speaking.",
    ),
    setting(
        "--log-level",
        type=click.Choice(_LEVELS, case_sensitive=False),
        default="WARNING",
        envvar="AGENTPHONE_LOG_LEVEL",
        help="What is written to stderr.",
    ),
    setting(
        "--log-format",
        type=click.Choice(["text", "json"]),
        default="text",
        envvar="AGENTPHONE_LOG_FORMAT",
        help="json: one object a line, with the ids of the trace if there is one.",
    ),
    setting(
        "--send-traceparent",
        is_flag=True,
        envvar="AGENTPHONE_SEND_TRACEPARENT",
        help="Tell AgentPhone which of your traces a request belongs to (W3C traceparent).",
    ),
    setting(
        "--sandbox",
        is_flag=True,
        envvar="AGENTPHONE_SANDBOX",
        help="Use an AgentPhone of its own on this machine: no account, no key, no money.",
    ),
    setting(
        "--sandbox-speed",
        type=Amount(0.1, 1000),
        default=1.0,
        envvar="AGENTPHONE_SANDBOX_SPEED",
        help="How much faster than real time the sandbox's calls go.",
    ),
]


def serving_options(command: Command) -> Command:
    """Give a command every option of serving, in the order in which they are listed here."""
    return reduce(lambda decorated, option: option(decorated), reversed(_OPTIONS), command)
