"""Run a PostgreSQL of the tests' own, where its server is installed."""

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from tests.support import PATIENCE

_numbers = itertools.count(1)


class PostgreSQL:
    """Run a PostgreSQL that can be stopped and started again, in a folder of its own user."""

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        self.folder = Path(tempfile.mkdtemp(prefix="agentphone-"))
        self._log = self.folder / "log"
        self._as_its_user: list[str] = []
        if os.geteuid() == 0:
            # It does not run as root; and it ends with us, however we end.
            shutil.chown(self.folder, "postgres", "postgres")
            self._as_its_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig=INT"]
        self._run("initdb", "-D", self.folder / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C")
        self.start()

    def start(self) -> None:
        """Start it and wait a bounded time until it answers."""
        settings = ["listen_addresses=", f"unix_socket_directories={self.folder}", "fsync=off", "max_connections=100"]
        command = [*self._as_its_user, self._binaries / "postgres", "-D", self.folder / "data"]
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [*command, *(word for one in settings for word in ("-c", one))],
                stdout=output,
                stderr=output,
                cwd=self.folder,
            )
        give_up_at = time.monotonic() + PATIENCE
        asked = [self._binaries / "pg_isready", "-q", "-h", self.folder, "-U", "postgres"]
        while subprocess.run(asked, check=False, timeout=PATIENCE).returncode:
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < give_up_at, self._log.read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop it without waiting for open connections."""
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def remove(self) -> None:
        """Stop it and remove its files."""
        self.stop()
        shutil.rmtree(self.folder)

    def database(self) -> str:
        """Make a database and return its SQLAlchemy URL."""
        name = f"ledger_{next(_numbers)}"
        self._run("createdb", "-h", self.folder, "-U", "postgres", name)
        return f"postgresql://postgres:hunter2@/{name}?host={self.folder}"

    def _run(self, program: str, *arguments: str | Path) -> None:
        command = [*self._as_its_user, self._binaries / program, *arguments]
        subprocess.run(command, check=True, capture_output=True, cwd=self.folder, timeout=PATIENCE)


def binaries() -> Path:
    """Find PostgreSQL's programs; Debian leaves them off the PATH. Skip the test without them."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    known = [folder for folder in folders if (folder / "initdb").exists() and (folder / "postgres").exists()]
    if not known or os.name != "posix":
        pytest.skip("no PostgreSQL is installed here")
    return known[0]
