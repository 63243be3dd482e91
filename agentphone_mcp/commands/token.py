"""Manage the bearer tokens of an HTTP server: `agentphone-mcp token`."""

import os
import secrets
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import click

from agentphone_mcp.commands.options import HELP_NAMES
from agentphone_mcp.policy.access import SCOPES, Scope
from agentphone_mcp.server.http.auth.token_edits import Tokens, change_tokens
from agentphone_mcp.server.http.auth.token_file import (
    TOKEN_PREFIX,
    Token,
    TokensUnusable,
    digest_of,
    is_name,
    parse_tokens,
    read_text,
)
from agentphone_mcp.variables import TOKENS_FILE_VARIABLE

_A_DAY = len("2027-01-31")


class ExpiryDate(click.ParamType[date]):
    """Parse a day, or a moment with its UTC offset."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """Read it; what is over already is a slip."""
        if isinstance(value, date):
            return value
        try:
            expiry = date.fromisoformat(value) if len(value) == _A_DAY else _moment(value)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no such date: write 2027-01-31 or 2027-01-31T18:00:00Z", param, ctx)
        if Token("", "read", b"", expiry).is_over(time.time()):
            self.fail(f"{value!r} is over already", param, ctx)
        return expiry


def _moment(value: str) -> datetime:
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError("whose clock is meant is not said")
    return moment.astimezone(UTC)


def _named(_ctx: click.Context, _argument: click.Parameter, name: str) -> str:
    """Check a name without repeating it: it may be a token that was pasted in the wrong place."""
    if not is_name(name):
        raise click.BadParameter(f"it takes 1 to 64 of A-Z a-z 0-9 . _ - and does not begin with {TOKEN_PREFIX}")
    return name


def _at_home(_ctx: click.Context, _option: click.Parameter, path: Path) -> Path:
    """Expand `~` in a path that came from a variable."""
    return Path(os.path.expanduser(path))


_NAME = click.argument("name", callback=_named)
_FILE = click.option(
    "--file",
    "path",
    required=True,
    type=click.Path(path_type=Path),
    callback=_at_home,
    envvar=TOKENS_FILE_VARIABLE,
    show_envvar=True,
    help="Where the hashes of the tokens are kept.",
)


@click.group(context_settings=HELP_NAMES, invoke_without_command=True)
@click.pass_context
def token(ctx: click.Context) -> None:
    """Say with which tokens one may connect over HTTP."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        ctx.exit(2)


@token.command()
@_NAME
@click.option(
    "--scope", type=click.Choice(SCOPES), required=True, help="How far they may go, each including the former."
)
@click.option("--expires", type=ExpiryDate(), help="The last day in UTC, or a time with its offset; never if left out.")
@click.option("--replace", is_flag=True, help="Make a new token for a name that has one, which is good no longer.")
@_FILE
def add(name: str, scope: Scope, expires: date | None, replace: bool, path: Path) -> None:
    """Make a token for NAME and show it, this one time."""
    made = f"{TOKEN_PREFIX}{secrets.token_urlsafe(32)}"

    def with_it(tokens: Tokens) -> Tokens:
        if name in tokens and not replace:
            raise click.ClickException(f"{name} has a token already: --replace makes a new one in its place")
        if replace and name not in tokens:
            raise click.ClickException(f"there is no token of {name} to replace")
        return tokens | {name: Token(name, scope, digest_of(made), expires)}

    _change(path, with_it)
    click.echo(made)
    click.echo(f"This is the token of {name}; it is shown only this time, and nobody can look it up.", err=True)


@token.command()
@_NAME
@_FILE
def remove(name: str, path: Path) -> None:
    """Remove the token of NAME.

    A running server stops admitting it within a second.
    """

    def without_it(tokens: Tokens) -> Tokens:
        if name not in tokens:
            raise click.ClickException(f"there is no token of {name}")
        return {other: kept for other, kept in tokens.items() if other != name}

    _change(path, without_it)
    click.echo(f"The token of {name} is removed; a running server stops admitting it within a second.")


@token.command("list")
@_FILE
def show(path: Path) -> None:
    """Show whose tokens there are, how far they go, and until when."""
    try:
        tokens = parse_tokens(read_text(path)).values()
    except TokensUnusable as exc:
        raise _cannot_use(path, exc) from None
    if not tokens:
        click.echo("There is no token yet.")
        return
    wide = max(len(each.name) for each in tokens)
    for each in tokens:
        over = " (expired)" if each.is_over(time.time()) else ""
        click.echo(f"{each.name:<{wide}}  {each.scope:<5}  {each.expires or 'never expires'}{over}")


def _change(path: Path, wanted: Callable[[Tokens], Tokens]) -> None:
    try:
        change_tokens(path, wanted)
    except TokensUnusable as exc:
        raise _cannot_use(path, exc) from None


def _cannot_use(path: Path, broken: TokensUnusable) -> click.ClickException:
    return click.ClickException(f"the tokens file {str(path)!r} cannot be used: {broken}")
