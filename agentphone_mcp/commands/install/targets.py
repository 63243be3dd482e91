"""Choose the hosts and the files that `install` changes, and tell whose files they are."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import click

from agentphone_mcp.commands.install.entries import UnsupportedSetup
from agentphone_mcp.commands.install.files import HostFileError
from agentphone_mcp.commands.install.hosts import HOSTS, Host
from agentphone_mcp.commands.install.locations import Machine

ALL = "all"


@dataclass(frozen=True)
class Target:
    """Name the host, its file and the machine that are changed, and whether others may have written that file."""

    host: Host
    file: Path
    machine: Machine
    is_shared: bool = False


def choose_hosts(named: str | None, machine: Machine, *, uninstall: bool) -> list[Host]:
    """Choose the host that was named, all that are in use here, or what the person picks from a menu.

    Raises:
        click.UsageError: if none was named, and nobody is there to pick one.
    """
    installed = [host for host in HOSTS.values() if host.is_installed(machine)]
    if named == ALL:
        if not installed:
            raise click.ClickException(f"no host was found here: name one of {', '.join(HOSTS)}")
        return installed
    if named:
        return [HOSTS[named]]
    if not sys.stdin.isatty():
        here = f"; found here: {', '.join(host.key for host in installed)}" if installed else ""
        raise click.UsageError(f"name a host: one of {', '.join(HOSTS)}, or {ALL}{here}")
    return _prompt_for_hosts(installed, uninstall=uninstall)


def _prompt_for_hosts(installed: list[Host], *, uninstall: bool) -> list[Host]:
    listed = installed + [host for host in HOSTS.values() if host not in installed]
    click.echo("From which host should AgentPhone be removed?" if uninstall else "Which host should have AgentPhone?")
    wide = max(len(host.title) for host in listed)
    for number, host in enumerate(listed, start=1):
        click.echo(f"  {number}  {host.title:<{wide}}  {'found here' if host in installed else ''}".rstrip())
    numbers = [str(number) for number in range(1, len(listed) + 1)]
    if len(installed) > 1:
        click.echo(f"  a  all {len(installed)} that were found here")
        numbers.append("a")
    picked = click.prompt("Number", type=click.Choice(numbers), show_choices=False)
    return installed if picked == "a" else [listed[int(picked) - 1]]


def find_targets(
    host: Host, machine: Machine, project: Path | None, file: Path | None, *, uninstall: bool
) -> list[Target]:
    """Find the files to change: the one that was named, the project's, or the user's own.

    Raises:
        UnsupportedSetup: if the host reads no files of projects.
        HostFileError: if the project's file leads elsewhere.
    """
    if file:
        path = Path(os.path.expanduser(file))
        return [Target(host, path, machine, is_shared=_is_of_a_project(host, path, machine))]
    if project:
        if host.project_file is None:
            raise UnsupportedSetup(f"{host.title} has no files of projects: leave --project out")
        return [Target(host, _within(project, project / host.project_file), machine, is_shared=True)]
    there = [each for each in host.user_files(machine) if os.path.isfile(each)] if uninstall else []
    return [Target(host, each, machine) for each in there or [host.user_file(machine)]]


def _is_of_a_project(host: Host, file: Path, machine: Machine) -> bool:
    """Tell whether a file is one that the host reads in a project, and not the user's own."""
    real = Path(os.path.realpath(file))
    is_own = real in [Path(os.path.realpath(own)) for own in host.user_files(machine)]
    return not is_own and bool(host.project_file) and real.as_posix().endswith(f"/{host.project_file}")


def _within(project: Path, file: Path) -> Path:
    """Return a project's file, unless it is a link to a file elsewhere, which others may have put there.

    Raises:
        HostFileError: if it leads out of the project.
    """
    real = os.path.realpath(file)
    if not Path(real).is_relative_to(os.path.realpath(project)):
        raise HostFileError(f"{file} stays as it is: it is a link that leads out of the project, to {real}")
    return file
