"""Open an account for an email, and keep its key, which is shown once: `agentphone-mcp login --sign-up`."""

import re
import secrets
import signal
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import anyio
import click

from agentphone_mcp.api import errors
from agentphone_mcp.api.api_key import ApiKey, KeyRuleBroken
from agentphone_mcp.api.sign_up import MailedCode, OpenedAccount, SignUpClient
from agentphone_mcp.config.config import read_state
from agentphone_mcp.config.keychain import SERVICE, NoKeychain, account_for, find, keep
from agentphone_mcp.config.settings import ConfigError
from agentphone_mcp.policy.untrusted import clean
from agentphone_mcp.system.secret_files import KeyFile, KeyFileError
from agentphone_mcp.system.state_files import make_private_folder

Result = TypeVar("Result")
_TRIES = 3
_STOP_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")


def open_account(base_url: str, email: str, agent_name: str | None, key_file: Path | None) -> None:
    """Open an account, with the code that the vendor mails, and keep its key.

    The key is written into a file before anything else is done with it: into `key_file`, or into one that is removed
    once the keychain has the key.

    Raises:
        click.ClickException: when no account was opened, or its key is not where it should be; it says where it is.
        KeyFileError: when the file cannot be made; nothing was sent.
    """
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", email):
        raise click.UsageError(f"--sign-up: {email!r} is no email address")
    if key_file is None:
        _refuse_to_replace(base_url)
    with KeyFile(key_file or _spare_place()) as file:
        mailed = _begin(base_url, email, agent_name)
        click.echo(f"AgentPhone mails a six-digit code to {email}{_until(mailed.expires_at)}.")
        opened = _finish(base_url, mailed, file)
        if key_file is None:
            where = _into_keychain(base_url, opened.api_key, file)
        elif file.is_written:
            where = f"Its key is in {file.path}, which only you can read."
        else:
            raise click.ClickException(f"your account is open, but {_in_file(file)}")
    number = f" and has the number {_plain(opened.phone_number)}" if opened.phone_number else ""
    click.echo(f"Your account is open; its first agent is {_plain(opened.agent_id or 'not named')}{number}.")
    click.echo(where)


def _refuse_to_replace(base_url: str) -> None:
    try:
        kept = find(base_url)
    except NoKeychain as exc:
        raise click.ClickException(
            f"the keychain has something already: {exc}; run agentphone-mcp logout first"
        ) from None
    if kept:
        raise click.ClickException(
            f"the keychain holds the key ending in {kept.last_four} already: run agentphone-mcp logout first, or keep "
            "the new one in a file with --key-file"
        )


def _spare_place() -> Path:
    """Find a place where the key of a new account is until the keychain has it, and stays if that fails."""
    try:
        folder = Path(read_state(""))
    except ConfigError as exc:
        raise KeyFileError(str(exc)) from None
    try:
        make_private_folder(folder)
    except OSError as exc:
        raise KeyFileError(f"{str(folder)!r} cannot be made: {exc.strerror or exc}") from None
    return folder / f"new-key-{secrets.token_hex(4)}"


def _begin(base_url: str, email: str, agent_name: str | None) -> MailedCode:
    try:
        return _run(base_url, lambda api: api.begin(email, agent_name))
    except errors.Conflict:
        raise click.ClickException(
            f"{email} has an AgentPhone account already: run agentphone-mcp login with its key"
        ) from None
    except errors.ApiError as exc:
        raise click.ClickException(f"nobody was signed up: {describe_error(exc)}") from None


def _finish(base_url: str, mailed: MailedCode, file: KeyFile) -> OpenedAccount:
    """Take the code until it is right, and write down the key that comes of it before anything can stop us."""
    for tries_left in reversed(range(_TRIES)):
        code = _code()
        try:
            with _unstoppable():
                opened = _run(base_url, lambda api, code=code: api.finish(mailed.verification_id, code))
                with suppress(OSError):  # the keychain may take it still
                    file.write(opened.api_key)
                return opened
        except (errors.BadRequest, errors.Unreachable, errors.RateLimited) as exc:
            if not tries_left:
                raise click.ClickException(f"no account was opened: {describe_error(exc)}; sign up again") from None
            click.echo(f"That did not work: {describe_error(exc)}.", err=True)
        except errors.OutcomeUnknown as exc:
            raise click.ClickException(
                f"the account may be open, but its key did not arrive: {describe_error(exc)}; "
                "make a new key in AgentPhone's dashboard and run agentphone-mcp login with it"
            ) from None
        except errors.ApiError as exc:
            raise click.ClickException(f"no account was opened: {describe_error(exc)}") from None
    raise AssertionError("unreachable: the last try returns or raises")


def _code() -> str:
    while True:
        code = re.sub(r"[\s-]", "", _prompt("The code"))
        if re.fullmatch("[0-9]{6}", code):
            return code
        click.echo("A code has six digits.", err=True)


def _prompt(text: str) -> str:
    try:
        return click.prompt(text, err=True)
    except click.Abort as exc:
        if not isinstance(exc.__context__, EOFError):
            raise
    # Else what is wrong would stand behind the question.
    click.echo(err=True)
    raise click.ClickException(
        "no code came from stdin, so no account was opened: sign up again where you can type the code that is mailed "
        "then, or keep stdin open until you have passed it on"
    )


def _into_keychain(base_url: str, key: str, file: KeyFile) -> str:
    """Move the key from the file into the keychain; if that fails, the file stays."""
    try:
        keep(base_url, ApiKey(key))
    except (NoKeychain, KeyRuleBroken) as exc:
        raise click.ClickException(f"the keychain did not take the key: {exc}; {_in_file(file)}") from None
    except BaseException:
        click.echo(f"Stopped: {_in_file(file)}", err=True)
        raise
    file.discard()
    return f"Its key is in the system's keychain ({SERVICE}, {account_for(base_url)})."


def _in_file(file: KeyFile) -> str:
    if not file.is_written:
        return "the key could not be written to a file: make a new one in AgentPhone's dashboard."
    return (
        f"the key is in {file.path}, which only you can read: run agentphone-mcp install HOST --key-file with that "
        "path, or set AGENTPHONE_API_KEY_FILE to it."
    )


def _run(base_url: str, operation: Callable[[SignUpClient], Awaitable[Result]]) -> Result:
    async def run() -> Result:
        async with SignUpClient(base_url) as api:
            return await operation(api)

    return anyio.run(run)


@contextmanager
def _unstoppable() -> Generator[None]:
    """Let no Ctrl+C and no closing terminal come between the answer that has the key and its place on the disk."""
    kinds = [getattr(signal, name) for name in _STOP_SIGNALS if hasattr(signal, name)]
    before = [(kind, signal.signal(kind, signal.SIG_IGN)) for kind in kinds]
    try:
        yield
    finally:
        for kind, handler in before:
            signal.signal(kind, handler)


def _until(expires_at: str | None) -> str:
    try:
        return f"; it is good until {datetime.fromisoformat(expires_at or '').astimezone():%H:%M}"
    except (ValueError, OverflowError):
        return ""


def describe_error(error: errors.ApiError) -> str:
    """Return the API's words on one line, or its status, for a person."""
    words = _plain(error.detail).rstrip(".")
    return f"{words} (status {error.status})" if error.status else words


def _plain(words: str) -> str:
    return " ".join(clean(words).split())
