"""Check what the server needs: Python, its packages, time zones, and `uvx`."""

import platform
import sys
from collections.abc import Callable, Iterable
from importlib import metadata
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import anyio
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from agentphone_mcp.commands.doctor.finding import Finding, failure, ok, skipped, warning
from agentphone_mcp.commands.install.locations import Machine
from agentphone_mcp.commands.install.programs import PACKAGE, find_command, find_uvx, how_to_get_uv

_SHOWN = (PACKAGE, "mcp", "httpx", "pydantic", "anyio")
_LONGEST_LOOK = 10.0
_ANY_ZONE = "America/New_York"


def check_python(required: str | None, running: str = platform.python_version()) -> Finding:
    """Check this Python against the version that our metadata requires."""
    where = f"Python {running} on {platform.system()} {platform.machine()}"
    facts = {"python": running, "platform": sys.platform, "executable": sys.executable}
    if required and not SpecifierSet(required).contains(running, prereleases=True):
        return failure("Python", f"{where}, but {PACKAGE} needs {required}", "Install a newer Python", **facts)
    return ok("Python", where, **facts)


def check_packages(requirements: Iterable[str] | None, version: Callable[[str], str] = metadata.version) -> Finding:
    """Check the installed packages against the requirements in our metadata; None if ours is not installed.

    The version of a package comes from `version`, which may raise PackageNotFoundError.
    """
    if requirements is None:
        return skipped("packages", f"{PACKAGE} runs from its sources and is not installed")
    problems: list[str] = []
    for requirement in map(Requirement, requirements):
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        installed = _version(requirement.name, version)
        if installed is None:
            problems.append(f"{requirement.name} is missing")
        elif not requirement.specifier.contains(installed, prereleases=True):
            problems.append(f"{requirement.name} {installed} is not {requirement.specifier}")
    versions = {name: installed for name in _SHOWN if (installed := _version(name, version))}
    if problems:
        remedy = f"Install it anew: uvx --refresh {PACKAGE}, or pip install --upgrade {PACKAGE}"
        return failure("packages", "; ".join(problems), remedy, versions=versions)
    return ok("packages", ", ".join(f"{name} {installed}" for name, installed in versions.items()), versions=versions)


def check_time_zones(zone: Callable[[str], object] = ZoneInfo) -> Finding:
    """Check that time zones are known, which quiet hours and callees' local times need."""
    try:
        zone(_ANY_ZONE)
    except ZoneInfoNotFoundError:
        return failure("time zones", f"{_ANY_ZONE} is not known here", "Install the data: pip install tzdata")
    return ok("time zones", "known")


async def check_uvx(machine: Machine) -> Finding:
    """Check where `uvx` is, on the PATH or not, and that it runs."""
    get_uvx = f"Get uv, which brings uvx, with `{how_to_get_uv(machine.platform)}`"
    uvx = find_uvx(machine)
    if uvx is None:
        return warning("uvx", "not found, and hosts start the server with it", get_uvx)
    path = str(uvx)
    try:
        with anyio.fail_after(_LONGEST_LOOK):
            process = await anyio.run_process([path, "--version"], check=False)
    except (OSError, TimeoutError) as exc:
        why = "it does not answer" if isinstance(exc, TimeoutError) else exc.strerror
        return warning("uvx", f"{path} does not run: {why}", get_uvx, path=path)
    message = process.stdout.decode(errors="replace").strip() or "no version"
    if process.returncode:
        return warning("uvx", f"{path} does not run: it ended with {process.returncode}", get_uvx, path=path)
    if not find_command("uvx", machine.environ.get("PATH", ""), machine.home):
        remedy = f"Let the entries of hosts name it whole, as `{PACKAGE} install` does, or run `uv tool update-shell`"
        return warning("uvx", f"{message} at {path}, which is not on the PATH", remedy, path=path)
    return ok("uvx", f"{message} at {path}", path=path)


def required_python() -> str | None:
    """Return the Python version that our metadata requires; None if our package is not installed."""
    try:
        return metadata.metadata(PACKAGE)["Requires-Python"]
    except metadata.PackageNotFoundError:
        return None


def requirements() -> list[str] | None:
    """Return the packages that our metadata requires; None if our package is not installed."""
    try:
        return metadata.requires(PACKAGE) or []
    except metadata.PackageNotFoundError:
        return None


def _version(name: str, version: Callable[[str], str]) -> str | None:
    try:
        return version(name)
    except metadata.PackageNotFoundError:
        return None
