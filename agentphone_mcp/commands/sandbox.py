"""Serve a sandbox, and make a caller call or text it: `agentphone-mcp sandbox`."""

import json
import os
import signal
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import click
import httpx

from agentphone_mcp.commands.options import HELP_NAMES, PORT, Amount
from agentphone_mcp.commands.sandbox_keys import find_key, kept_key
from agentphone_mcp.config.environment import read_key
from agentphone_mcp.config.settings import ConfigError
from agentphone_mcp.sandbox.app import running
from agentphone_mcp.sandbox.data.persistence import StateFileError
from agentphone_mcp.sandbox.http.api_versions import API_VERSIONS, ApiVersion
from agentphone_mcp.sandbox.http.faults import BadFaultError, Fault, parse
from agentphone_mcp.sandbox.http.validation import is_loopback
from agentphone_mcp.sandbox.terminal import show
from agentphone_mcp.system.sockets import CannotListen

_PATIENCE = 120.0
_option = partial(click.option, show_envvar=True)


class _Rule(click.types.StringParamType):
    """Parse a fault in words; in an environment variable, semicolons separate several."""

    name = "rule"
    envvar_list_splitter = ";"


def _faults(_ctx: click.Context, _option: click.Parameter, rules: Sequence[str]) -> list[Fault]:
    """Read the rules, or say what is wrong with one."""
    try:
        return [parse(rule) for rule in rules if rule.strip()]
    except BadFaultError as exc:
        raise click.BadParameter(f"{exc}.") from None


def _no_live_key(_ctx: click.Context, _option: click.Parameter, key: str | None) -> str | None:
    """Refuse a key that opens a real account: a sandbox prints and stores its key."""
    if key and key.strip().lower().startswith("sk_live_"):
        raise click.BadParameter("a live key has no place in a sandbox.")
    return key


@click.group("sandbox", context_settings=HELP_NAMES, invoke_without_command=True)
@_option("--port", type=PORT, default=8787, envvar="AGENTPHONE_SANDBOX_PORT")
@_option(
    "--speed",
    type=Amount(0.1, 1000),
    default=1.0,
    envvar="AGENTPHONE_SANDBOX_SPEED",
    help="How much faster than real time calls go.",
)
@_option(
    "--key",
    envvar="AGENTPHONE_SANDBOX_KEY",
    callback=_no_live_key,
    help="The key to accept; the state file's, or a random one, if left out.",
)
@_option(
    "--wire",
    "api_version",
    type=click.Choice(API_VERSIONS),
    default="union",
    envvar="AGENTPHONE_SANDBOX_WIRE",
    help="Which version of the API answers.",
)
@_option(
    "--state",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="AGENTPHONE_SANDBOX_STATE",
    help="A file that keeps the account across restarts; in memory if left out.",
)
@_option(
    "--fault",
    "faults",
    type=_Rule(),
    callback=_faults,
    multiple=True,
    envvar="AGENTPHONE_SANDBOX_FAULTS",
    help="Break an answer, for example 'POST /v1/numbers drop-after', 'GET /v1/* status=503 times=2',"
    " '* /v1/calls delay=2', 'GET /v1/agents status=429 retry-after=1', 'GET /v1/agents malformed always'."
    " Repeatable; separated by ; in the environment.",
)
@_option(
    "--allow-remote-webhooks",
    is_flag=True,
    envvar="AGENTPHONE_SANDBOX_ALLOW_REMOTE_WEBHOOKS",
    help="Deliver webhooks to addresses beyond this machine too.",
)
@click.pass_context
def sandbox(
    ctx: click.Context,
    port: int,
    speed: float,
    key: str | None,
    api_version: ApiVersion,
    state: Path | None,
    faults: Sequence[Fault],
    allow_remote_webhooks: bool,
) -> None:
    """Run the sandbox alone, for any client of the AgentPhone API."""
    if ctx.invoked_subcommand is not None:
        return
    stop = Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda _number, _frame: stop.set())
    try:
        with (
            running(
                speed=speed,
                port=port,
                key=key,
                api_version=api_version,
                faults=faults,
                state=state,
                allow_remote_webhooks=allow_remote_webhooks,
            ) as box,
            kept_key(box.url, box.key),
        ):
            show(box, stop)
    except (CannotListen, StateFileError) as exc:
        raise click.ClickException(str(exc)) from None


_url = _option(
    "--url",
    default="http://127.0.0.1:8787",
    show_default=True,
    envvar="AGENTPHONE_BASE_URL",
    help="Where the sandbox is.",
)
_from = click.option("--from", "from_number", required=True, help="Who it is, in E.164.")
_to = click.option("--to", "to_number", required=True, help="One of the account's numbers, in E.164.")


@sandbox.command()
@_from
@_to
@click.option("--says", multiple=True, help="What the caller says, line by line. Repeatable.")
@_url
def call(from_number: str, to_number: str, says: Sequence[str], url: str) -> None:
    """Make somebody call one of the account's numbers, with the key that a sandbox of yours keeps while it runs."""
    wanted: dict[str, Any] = {"from": from_number, "to": to_number}
    if says:
        wanted["says"] = list(says)
    _tell(_post(url, "/__sandbox/calls", wanted))


@sandbox.command()
@_from
@_to
@click.option("--body", required=True, help="What the text says.")
@_url
def text(from_number: str, to_number: str, body: str, url: str) -> None:
    """Make somebody text one of the account's numbers, with the key that a sandbox of yours keeps while it runs."""
    _tell(_post(url, "/__sandbox/messages", {"from": from_number, "to": to_number, "body": body}))


def _post(url: str, path: str, wanted: dict[str, Any]) -> Any:
    """Send a request to a sandbox; refuse any other server, so that no live key leaks."""
    try:
        if not is_loopback(url):
            raise click.UsageError(f"{url} is not on this machine, and so no sandbox; see --url.")
        headers = {"Authorization": f"Bearer {_key_for(url)}"}
        answer = httpx.post(url.rstrip("/") + path, json=wanted, headers=headers, timeout=_PATIENCE, trust_env=False)
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as exc:
        raise click.ClickException(f"No sandbox answered at {url}: {exc or type(exc).__name__}") from None
    if answer.is_success:
        return answer.json()
    raise click.ClickException(f"The sandbox answered {answer.status_code}: {_why(answer)}")


def _key_for(url: str) -> str:
    """Find the key that the sandbox keeps in this user's state folder, or else in the environment."""
    if kept := find_key(url):
        return kept
    try:
        key = read_key(os.environ)
    except ConfigError as exc:
        raise click.UsageError(str(exc)) from None
    if key is None:
        raise click.UsageError(
            f"no sandbox of yours keeps a key for {url}: start one, or set AGENTPHONE_API_KEY to the one it printed"
        )
    if key.is_live:
        raise click.UsageError("That is a live key; the sandbox printed one of its own when it started.")
    return key.reveal()


def _why(answer: httpx.Response) -> str:
    """Return an error's message on one line, from either API version."""
    try:
        body = answer.json()
        detail = body.get("detail") or body["error"]["message"]
        if isinstance(detail, str):
            return detail
        return "; ".join(f"{row['loc'][-1]}: {row['msg']}" for row in detail)
    except (ValueError, LookupError, AttributeError, TypeError):
        return answer.text[:200]


def _tell(answer: Any) -> None:
    click.echo(json.dumps(answer, indent=2, ensure_ascii=False))
