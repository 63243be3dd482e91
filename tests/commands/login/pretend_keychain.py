"""Provide a keychain that keeps its keys in a file, for tests and the processes they start, and fails on demand.

PYTHON_KEYRING_BACKEND=pretend_keychain.Keychain PRETEND_KEYCHAIN=/tmp/keys.json
"""

import json
import os
import sys
import threading
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked, PasswordDeleteError

PYTHONPATH = os.pathsep.join((str(Path(__file__).parents[3]), str(Path(__file__).parent)))
"""What a process needs to import our package and this module."""


class Keychain(KeyringBackend):
    """Keep `{service: {user: password}}`, unless its mood (`PRETEND_KEYCHAIN_MOOD`) is another."""

    priority = 1

    def get_password(self, service: str, username: str) -> str | None:
        """Return what is kept there."""
        self._feel("read")
        return self._kept().get(service, {}).get(username)

    def set_password(self, service: str, username: str, password: str) -> None:
        """Keep it."""
        self._feel("write", password)
        if username == "trial" or self._mood != "full":
            self._keep(self._kept() | {service: self._kept().get(service, {}) | {username: password}})
        else:
            raise OSError(28, f"no room for {password}")

    def delete_password(self, service: str, username: str) -> None:
        """Remove it."""
        self._feel("write")
        kept = self._kept()
        if username not in kept.get(service, {}):
            raise PasswordDeleteError("not found")
        if self._mood == "clinging":
            return
        del kept[service][username]
        self._keep(kept)

    @property
    def _mood(self) -> str:
        return os.environ.get("PRETEND_KEYCHAIN_MOOD", "")

    def _feel(self, what: str, password: str = "") -> None:
        if self._mood == "hanging":
            threading.Event().wait()
        elif self._mood == "asking":
            print("Password:", sys.stdin.readline())  # noqa: T201 - as a password is asked for
        elif self._mood == "locked":
            raise KeyringLocked("dismissed")
        elif self._mood == "broken":
            raise SystemError(f"error -25300 of {password or 'nothing'}\nand more{'.' * 130}{password}")
        elif self._mood == "read-only" and what == "write":
            raise PermissionError(13, "not for you")

    def _kept(self) -> dict[str, dict[str, str]]:
        file = Path(os.environ["PRETEND_KEYCHAIN"])
        return json.loads(file.read_text("utf-8")) if file.exists() else {}

    def _keep(self, kept: dict[str, dict[str, str]]) -> None:
        Path(os.environ["PRETEND_KEYCHAIN"]).write_text(json.dumps(kept), "utf-8")
