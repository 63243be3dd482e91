"""Store or remove the key in the system's keychain: `agentphone-mcp login` and `logout`."""

import os
import sys
from contextlib import nullcontext
from pathlib import Path

import anyio
import click

from agentphone_mcp.api import errors
from agentphone_mcp.api.account import Usage
from agentphone_mcp.api.allowlist import Allowlist
from agentphone_mcp.api.api_key import ApiKey, KeyRuleBroken
from agentphone_mcp.api.client import ApiClient
from agentphone_mcp.api.transport import Transport
from agentphone_mcp.commands.options import HELP_NAMES, absolute_path, setting_option
from agentphone_mcp.commands.sign_up import describe_error, open_account
from agentphone_mcp.config.environment import complete_session_bus, read_key_variable
from agentphone_mcp.config.keychain import INSTEAD, SERVICE, NoKeychain, account_for, forget, keep, try_out
from agentphone_mcp.policy.untrusted import clean
from agentphone_mcp.system.secret_files import KeyFile, KeyFileError

_TIMEOUT = 15.0
_LONGEST_LINE = 4_096


@click.command(context_settings=HELP_NAMES)
@click.option("--sign-up", "email", metavar="EMAIL", help="Open an account for this email address, and keep its key.")
@click.option("--agent-name", metavar="NAME", help="For --sign-up: what the account's first agent is called.")
@click.option(
    "--key-file",
    metavar="PATH",
    type=click.Path(path_type=Path),
    callback=absolute_path,
    help="Keep the key in this new file, which only you can read, instead of the keychain.",
)
@click.option("--check/--no-check", default=True, help="Ask AgentPhone first whether the key is good.")
@setting_option("base_url")
@setting_option("keychain")
def login(
    email: str | None, agent_name: str | None, key_file: Path | None, check: bool, base_url: str, keychain: str
) -> None:
    """Keep your account's key in the system's keychain, where the server finds it.

    The key is asked for without echo, or read from stdin: agentphone-mcp login < FILE.
    """
    if agent_name and not email:
        raise click.UsageError("--agent-name is for --sign-up")
    _check_address(base_url)
    if key_file is None:
        _check_keychain(keychain)
    try:
        if email:
            open_account(base_url, email, agent_name, key_file)
        else:
            with KeyFile(key_file) if key_file else nullcontext() as file:
                _take_key(base_url, file, check)
    except KeyFileError as exc:
        raise click.ClickException(str(exc)) from None
    if key_file:
        click.echo(
            f'Next: run agentphone-mcp install HOST --key-file "{key_file}", or set AGENTPHONE_API_KEY_FILE to '
            f"{key_file} where your host starts the server."
        )
    elif variable := read_key_variable(os.environ):
        click.echo(
            f"{variable} is set here and wins over the keychain: remove it wherever your host sets it, too.", err=True
        )


@click.command(context_settings=HELP_NAMES)
@setting_option("base_url")
@setting_option("keychain")
def logout(base_url: str, keychain: str) -> None:
    """Remove your account's key from the system's keychain."""
    _check_address(base_url)
    _check_switch(keychain)
    complete_session_bus(os.environ)
    try:
        was_there = forget(base_url)
    except NoKeychain as exc:
        raise click.ClickException(f"the keychain could not be asked: {exc}") from None
    if was_there:
        click.echo(
            "The key is no longer in the keychain; it stays valid until you revoke it in AgentPhone's dashboard."
        )
    else:
        click.echo(f"There was no key for {account_for(base_url)} in the keychain.")
    if variable := read_key_variable(os.environ):
        click.echo(f"{variable} still gives the server a key: remove it, too.", err=True)


def _check_address(base_url: str) -> None:
    try:
        Allowlist.for_base(base_url, None)
    except KeyRuleBroken as exc:
        raise click.UsageError(f"--base-url: {exc}") from None


def _check_switch(keychain: str) -> None:
    if keychain == "off":
        raise click.ClickException(
            "AGENTPHONE_KEYCHAIN or --keychain is off: switch it on, or keep the key in a file with --key-file"
        )


def _check_keychain(keychain: str) -> None:
    """Refuse before a key is pasted, or shown only once, if there is no keychain to take it."""
    _check_switch(keychain)
    complete_session_bus(os.environ)
    try:
        try_out()
    except NoKeychain as exc:
        raise click.ClickException(f"the system's keychain cannot be used: {exc}; {INSTEAD}") from None


def _take_key(base_url: str, file: KeyFile | None, check: bool) -> None:
    """Read the key, check it, and keep it; nothing is kept of a wrong one."""
    try:
        key = ApiKey(_typed_or_piped())
        Allowlist.for_base(base_url, key)
    except KeyRuleBroken as exc:
        raise click.ClickException(f"nothing was kept: {exc}") from None
    if check:
        click.echo(_described(key, _usage(base_url, key)))
    if file:
        try:
            file.write(key.reveal())
        except OSError as exc:
            raise click.ClickException(f"the key could not be written: {exc.strerror}") from None
        click.echo(f"{_named(key)} is in {file.path}, which only you can read.")
        return
    try:
        keep(base_url, key)
    except NoKeychain as exc:
        raise click.ClickException(f"the keychain did not take the key: {exc}; {INSTEAD}") from None
    click.echo(f"{_named(key)} is in the system's keychain ({SERVICE}, {account_for(base_url)}).")


def _typed_or_piped() -> str:
    """Read the key as a person types it, or as it comes from a file; nothing shows it."""
    if sys.stdin is None:
        raise click.ClickException("stdin is closed: the key is read from it")
    if sys.stdin.isatty():
        return click.prompt("Your AgentPhone API key (it is not shown)", hide_input=True, err=True)
    while line := sys.stdin.buffer.readline(_LONGEST_LINE):
        # Notepad begins a text file with a mark that is no part of the key; what is no text is no key either.
        if text := line.decode("utf-8-sig", "replace").strip():
            return text
    raise click.ClickException("no key came from stdin, so nothing was kept")


def _usage(base_url: str, key: ApiKey) -> Usage:
    async def ask() -> Usage:
        async with ApiClient(Transport(base_url, key, timeout=_TIMEOUT)) as api:
            return await api.account.usage()

    try:
        return anyio.run(ask)
    except errors.Unauthorized:
        raise click.ClickException(
            "AgentPhone does not know this key, so nothing was kept: copy it again from AgentPhone's dashboard"
        ) from None
    except (errors.Forbidden, errors.PaymentRequired, errors.NotFound) as exc:
        reason = describe_error(exc)
        raise click.ClickException(f"AgentPhone refused the key, so nothing was kept: {reason}") from None
    except errors.ApiError as exc:
        raise click.ClickException(
            f"AgentPhone could not say whether the key is good, so nothing was kept: {describe_error(exc)}; "
            "try again, or keep it unchecked with --no-check"
        ) from None


def _named(key: ApiKey) -> str:
    return f"The key ending in {key.last_four}" if key.last_four else "The key"


def _described(key: ApiKey, usage: Usage) -> str:
    """Describe what the key opens, as far as the API says it."""
    parts: list[str] = []
    if usage.plan and usage.plan.name:
        parts.append(f"plan {' '.join(clean(usage.plan.name).split())}")
    if usage.numbers and usage.numbers.used is not None:
        of = f" of {usage.numbers.limit}" if usage.numbers.limit is not None else ""
        parts.append(f"phone numbers {usage.numbers.used}{of}")
    if usage.stats and usage.stats.calls_30d is not None and usage.stats.messages_30d is not None:
        parts.append(f"in the last 30 days calls {usage.stats.calls_30d}, texts {usage.stats.messages_30d}")
    return f"{_named(key)} is good: {'; '.join(parts)}." if parts else f"{_named(key)} is good."
