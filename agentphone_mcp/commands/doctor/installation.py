"""What the server stands on: Python, the packages, time zones, and the `uvx` that hosts start it with."""

import platform
import shutil
import sys
from collections.abc import Callable, Iterable
from importlib import metadata
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import anyio
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from agentphone_mcp.commands.doctor.finding import Finding, failure, ok, skipped, warning
from agentphone_mcp.commands.install.locations import Machine
from agentphone_mcp.commands.install.programs import PACKAGE, find_uvx, how_to_get_uv

_SHOWN = (PACKAGE, "mcp", "httpx", "pydantic", "anyio")
_LONGEST_LOOK = 10.0
_ANY_ZONE = "America/New_York"


def check_python(required: str | None, running: str = platform.python_version()) -> Finding:
    """Look whether this Python is new enough for what our metadata asks."""
    where = f"Python {running} on {platform.system()} {platform.machine()}"
    facts = {"python": running, "platform": sys.platform, "executable": sys.executable}
    if required and not SpecifierSet(required).contains(running, prereleases=True):
        return failure("Python", f"{where}, but {PACKAGE} needs {required}", "Install a newer Python", **facts)
    return ok("Python", where, **facts)


def check_packages(requirements: Iterable[str] | None, version: Callable[[str], str] = metadata.version) -> Finding:
    """Look whether the packages that are installed are those that our metadata asks for.

    Args:
        requirements: as the metadata has them; None where the package is not installed at all.
        version: the version of a package that is installed; raises PackageNotFoundError.
    """
    if requirements is None:
        return skipped("packages", f"{PACKAGE} runs from its sources and is not installed")
    wrong: list[str] = []
    for requirement in map(Requirement, requirements):
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        found = _version(requirement.name, version)
        if found is None:
            wrong.append(f"{requirement.name} is missing")
        elif not requirement.specifier.contains(found, prereleases=True):
            wrong.append(f"{requirement.name} {found} is not {requirement.specifier}")
    versions = {name: found for name in _SHOWN if (found := _version(name, version))}
    if wrong:
        remedy = f"Install it anew: uvx --refresh {PACKAGE}, or pip install --upgrade {PACKAGE}"
        return failure("packages", "; ".join(wrong), remedy, versions=versions)
    return ok("packages", ", ".join(f"{name} {found}" for name, found in versions.items()), versions=versions)


def check_time_zones(zone: Callable[[str], object] = ZoneInfo) -> Finding:
    """Look whether quiet hours and the local times of whom one calls can be told."""
    try:
        zone(_ANY_ZONE)
    except ZoneInfoNotFoundError:
        return failure("time zones", f"{_ANY_ZONE} is not known here", "Install the data: pip install tzdata")
    return ok("time zones", "known")


async def check_uvx(machine: Machine) -> Finding:
    """Look where `uvx` is and whether it runs; one that is off the PATH is found as well."""
    get_uvx = f"Get uv, which brings uvx, with `{how_to_get_uv(machine.platform)}`"
    uvx = find_uvx(machine)
    if uvx is None:
        return warning("uvx", "not found, and hosts start the server with it", get_uvx)
    found = str(uvx)
    try:
        with anyio.fail_after(_LONGEST_LOOK):
            ran = await anyio.run_process([found, "--version"], check=False)
    except (OSError, TimeoutError) as exc:
        why = "it does not answer" if isinstance(exc, TimeoutError) else exc.strerror
        return warning("uvx", f"{found} does not run: {why}", get_uvx, path=found)
    message = ran.stdout.decode(errors="replace").strip() or "no version"
    if ran.returncode:
        return warning("uvx", f"{found} does not run: it ended with {ran.returncode}", get_uvx, path=found)
    if not shutil.which("uvx", path=machine.environ.get("PATH", "")):
        remedy = f"Let the entries of hosts name it whole, as `{PACKAGE} install` does, or run `uv tool update-shell`"
        return warning("uvx", f"{message} at {found}, which is not on the PATH", remedy, path=found)
    return ok("uvx", f"{message} at {found}", path=found)


def required_python() -> str | None:
    """Which Python our metadata asks for; None where we are not installed."""
    try:
        return metadata.metadata(PACKAGE)["Requires-Python"]
    except metadata.PackageNotFoundError:
        return None


def requirements() -> list[str] | None:
    """Which packages our metadata asks for; None where we are not installed."""
    try:
        return metadata.requires(PACKAGE) or []
    except metadata.PackageNotFoundError:
        return None


def _version(name: str, version: Callable[[str], str]) -> str | None:
    try:
        return version(name)
    except metadata.PackageNotFoundError:
        return None
