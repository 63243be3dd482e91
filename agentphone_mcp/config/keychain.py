"""Store and find the API key in the system's keychain.

Keys are told apart by where they may go, so that none goes where it does not belong: there is one for the vendor, whose
two hosts share it, and one for each loopback address of a sandbox.

A keychain may be locked and ask its user, or never answer at all. So it is asked by a thread that may be left alone
with it, and `keyring`, which looks for keychains when it is imported, is imported there.
"""

import io
import sys
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, TypeVar

from agentphone_mcp.api.allowlist import VENDOR_HOSTS, Allowlist
from agentphone_mcp.api.api_key import ApiKey, KeyRuleBroken, mask_keys

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

Result = TypeVar("Result")
SERVICE = "agentphone-mcp"
"""The name under which all keys are kept; whose they are is said by `account_for`."""
AT_START = 10.0
"""Seconds that a server waits for a keychain before it starts without; the most hurried host gives it 30."""
FOR_A_PERSON = 120.0
"""Seconds that a command waits while its user unlocks a keychain."""
INSTEAD = (
    "keep the key in a file that only you can read (agentphone-mcp login --key-file PATH) and set "
    "AGENTPHONE_API_KEY_FILE to its path"
)
_TRIAL = "trial"
_LONGEST_REASON = 200


class NoKeychain(Exception):
    """There is no keychain, or it does not do what is asked; the message is a clause that says why, without a key."""


def account_for(base_url: str) -> str:
    """Say under which name the key for this address is kept: `api.agentphone.to`, or `http://127.0.0.1:8787`.

    Raises:
        KeyRuleBroken: if no key may go there.
    """
    allowlist = Allowlist.for_base(base_url, None)
    return allowlist.base.rstrip("/") if allowlist.is_local else VENDOR_HOSTS[0]


def find(base_url: str, patience: float = AT_START) -> ApiKey | None:
    """Find the key for this address; None where none is kept. The keychain has `patience` seconds to answer.

    Raises:
        NoKeychain: when the keychain cannot be asked in that time, or what it keeps is no key.
        KeyRuleBroken: if no key may go there.
    """
    account = account_for(base_url)
    value = _run(lambda keychain: keychain.get_password(SERVICE, account), patience)
    try:
        key = ApiKey(value) if value else None
        Allowlist.for_base(base_url, key)
    except KeyRuleBroken as exc:
        raise NoKeychain(f"what it keeps for {account} cannot be used: {exc}") from None
    return key


def keep(base_url: str, key: ApiKey, patience: float = FOR_A_PERSON) -> None:
    """Keep the key for this address, in place of an earlier one.

    Raises:
        NoKeychain: when the keychain does not have it afterwards.
        KeyRuleBroken: if this key may not go there.
    """
    Allowlist.for_base(base_url, key)
    account, value = account_for(base_url), key.reveal()

    def put(keychain: "KeyringBackend") -> bool:
        keychain.set_password(SERVICE, account, value)  # pyright: ignore[reportUnknownMemberType] - untyped
        return keychain.get_password(SERVICE, account) == value

    if not _run(put, patience, key.redact_in):
        raise NoKeychain("it does not keep what it is given")


def forget(base_url: str, patience: float = FOR_A_PERSON) -> bool:
    """Remove the key for this address; says whether there was one.

    Raises:
        NoKeychain: when the keychain cannot be asked, or has a key still.
        KeyRuleBroken: if no key may go there.
    """
    account = account_for(base_url)

    def remove(keychain: "KeyringBackend") -> tuple[bool, bool]:
        if keychain.get_password(SERVICE, account) is None:
            return False, False
        keychain.delete_password(SERVICE, account)
        return True, keychain.get_password(SERVICE, account) is not None

    was_there, is_there_still = _run(remove, patience)
    if is_there_still:
        raise NoKeychain("it has a key still, as where two keychains are in use; run this again")
    return was_there


def try_out(patience: float = FOR_A_PERSON) -> None:
    """Check that the keychain can store a value.

    Raises:
        NoKeychain: when it cannot.
    """

    def keep_something(keychain: "KeyringBackend") -> bool:
        keychain.set_password(SERVICE, _TRIAL, _TRIAL)  # pyright: ignore[reportUnknownMemberType] - untyped
        kept = keychain.get_password(SERVICE, _TRIAL) == _TRIAL
        if kept:
            keychain.delete_password(SERVICE, _TRIAL)
        return kept

    if not _run(keep_something, patience):
        raise NoKeychain("it does not keep what it is given")


def _run(
    operation: "Callable[[KeyringBackend], Result]", patience: float, redact: Callable[[str], str] = str
) -> Result:
    """Run an operation of the keychain on a thread of its own; `redact` removes the key from a reason.

    Raises:
        NoKeychain: when it fails, or does not answer in time.
    """
    answer: Future[Result] = Future()

    def run() -> None:
        try:
            import keyring

            answer.set_result(operation(keyring.get_keyring()))
        except BaseException as exc:  # noqa: BLE001 - keychains raise whatever their systems do
            answer.set_exception(exc)

    try:
        with _our_streams_kept():
            threading.Thread(target=run, name="keychain", daemon=True).start()
            failed = answer.exception(patience)
    except TimeoutError:
        raise NoKeychain(f"it did not answer within {patience:g} seconds") from None
    if failed is not None:
        raise NoKeychain(_reason(failed, redact)) from None
    return answer.result()


@contextmanager
def _our_streams_kept() -> Generator[None]:
    """Keep a keychain's password prompt from reading our stdin."""
    before, sys.stdin = sys.stdin, io.StringIO()
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        sys.stdin = before


def _reason(failed: BaseException, redact: Callable[[str], str]) -> str:
    """Say in one line why a keychain failed; keyring's errors are recognized by name, as it is not imported here."""
    name = type(failed).__name__
    if name == "NoKeyringError":
        return "this system has none that is running"
    if name == "KeyringLocked":
        return "it is locked"
    # The whole key first: what only looks like one ends at a dot, and the rest of it would stand there.
    message = " ".join(mask_keys(redact(str(failed))).split())[:_LONGEST_REASON]
    return f"{name}: {message}" if message else name
