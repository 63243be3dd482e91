"""Check the hosts installed here: that our entry exists, is valid, and starts a server that answers."""

import errno
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import anyio

from agentphone_mcp.api.api_key import mask_keys
from agentphone_mcp.commands.doctor.finding import Finding, failure, ok, skipped, warning
from agentphone_mcp.commands.doctor.host_entries import Address, InvalidEntry, Launch, is_switched_off, read_entry
from agentphone_mcp.commands.doctor.launch import (
    Launched,
    NoAnswer,
    ask,
    command_line,
    is_private,
    redact,
    shown,
    start,
)
from agentphone_mcp.commands.doctor.network import cause_of
from agentphone_mcp.commands.install.documents import Document, InvalidFile, table_in
from agentphone_mcp.commands.install.editing import parse
from agentphone_mcp.commands.install.files import HostFileError, read
from agentphone_mcp.commands.install.hosts import HOSTS, SERVER_KEY, Host
from agentphone_mcp.commands.install.locations import Machine
from agentphone_mcp.commands.install.programs import find_command
from agentphone_mcp.variables import KEY_VARIABLE

_AT_ONCE = 2
"""How many hosts are checked at once, as each server takes a processor for a second."""


@dataclass(frozen=True)
class HostSearch:
    """Says where to look for hosts, and how long to wait for their servers.

    Attributes:
        project: the folder whose project files hosts read.
        trusts_project: whether what the project's files name is started and asked too, and not only shown.
        within: the time in which a server has to start and answer, in seconds.
        is_key_in_keychain: whether the key is in the system's keychain, so that no variable has to hold it.
    """

    machine: Machine
    project: Path
    within: float = 30.0
    trusts_project: bool = False
    is_key_in_keychain: bool = False


@dataclass(frozen=True)
class _Located:
    """Holds an entry and its file: the user's own, or one of the current project, which others may have written."""

    host: Host
    file: Path
    entry: Mapping[str, Any]
    is_of_project: bool

    def read(self, machine: Machine) -> Launch | Address:
        """Read it as its host does.

        Raises:
            InvalidEntry: if it starts nothing.
        """
        return read_entry(self.host.key, self.entry, machine.environ, machine.platform, of_project=self.is_of_project)


class _Unreadable(Exception):
    """Reports that a host's file cannot be read, and the remedy."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


async def check_hosts(
    search: HostSearch, only: str | None = None, *, is_key_in_keychain: bool = False
) -> list[Finding]:
    """Check each host in use here, two at a time, or only the one with a key, which then must have an entry."""
    search = replace(search, is_key_in_keychain=is_key_in_keychain)
    hosts = [
        host for host in HOSTS.values() if only == host.key or (only is None and host.is_installed(search.machine))
    ]
    if not hosts:
        return [skipped("hosts", f"none of the {len(HOSTS)} known ones is installed for this user")]
    by_host: dict[str, list[Finding]] = {}
    limiter = anyio.Semaphore(_AT_ONCE)

    async def check_one(host: Host) -> None:
        async with limiter:
            by_host[host.key] = await _check(host, search, must_be=only is not None)

    async with anyio.create_task_group() as group:
        for host in hosts:
            group.start_soon(check_one, host)
    findings = [finding for host in hosts for finding in by_host[host.key]]
    if all(finding.facts.get("entry") is False for finding in findings):
        remedy = "Run `agentphone-mcp install`, and restart the host"
        names = ", ".join(host.title for host in hosts)
        return [failure("hosts", f"none of those installed has an entry of agentphone: {names}", remedy)]
    return findings


def host_keys(search: HostSearch) -> dict[str, str | None]:
    """Return the API key in each host's own entry, by the host's title; None if the host stores the key itself."""
    keys: dict[str, str | None] = {}
    for host in HOSTS.values():
        try:
            located = _of_user(host, search) if host.is_installed(search.machine) else None
            read = located.read(search.machine) if located else None
        except (_Unreadable, InvalidEntry):
            continue  # the check of that host reports it
        if isinstance(read, Launch):
            text = read.environ.get(KEY_VARIABLE)
            if text or read.asks:
                keys[host.title] = text
    return keys


async def _check(host: Host, search: HostSearch, *, must_be: bool) -> list[Finding]:
    findings: list[Finding] = []
    for find in (_of_user, _of_project):
        try:
            if located := find(host, search):
                findings.append(await _check_entry(located, search))
        except _Unreadable as exc:
            findings.append(failure(host.title, mask_keys(str(exc)), exc.remedy))
    if findings:
        return findings
    message = f"has no entry of {SERVER_KEY} in {host.user_file(search.machine)}"
    if must_be:
        return [failure(host.title, message, _install(host))]
    remedy = f"Run `agentphone-mcp install {host.key}` if it should have one"
    return [Finding(host.title, "skipped", message, remedy, {"entry": False})]


def _install(host: Host) -> str:
    return f"Run `agentphone-mcp install {host.key}`, and restart {host.title}"


async def _check_entry(located: _Located, search: HostSearch) -> Finding:
    host, file = located.host, located.file
    if located.is_of_project and not search.trusts_project:
        what = shown(located.entry, search.machine.platform)
        message = f"the project's file {file} has an entry, which is neither started nor asked: {what}"
        remedy = "Look at it, as others may have written it; `agentphone-mcp doctor --project` starts or asks it"
        return Finding(host.title, "skipped", message, remedy, {"entry": "project"})
    if is_switched_off(located.entry):
        return warning(host.title, f"its entry in {file} is switched off", f"Switch it on in {host.title}")
    try:
        read = located.read(search.machine)
    except InvalidEntry as exc:
        return failure(host.title, f"its entry in {file}: {exc}", _install(host))
    if isinstance(read, Address):
        return await _check_address(host, read, search)
    # Where a host starts a command is its own affair; a project's folder has programs and modules of others.
    folder = search.project if located.is_of_project else search.machine.home
    return await _check_launch(host, read, search, folder)


def _of_user(host: Host, search: HostSearch) -> _Located | None:
    """Find the entry in the user's own file."""
    # `claude mcp add` without a scope writes an entry for one project into the user's file.
    of_project = [("projects", str(search.project), *host.table)] if host.key == "claude-code" else []
    return _find_entry(host, host.user_file(search.machine), [host.table, *of_project], is_of_project=False)


def _of_project(host: Host, search: HostSearch) -> _Located | None:
    """Find the entry in the file of the current project, unless the user's own file is the same."""
    file = search.project / host.project_file if host.project_file else None
    if file is None or os.path.realpath(file) == os.path.realpath(host.user_file(search.machine)):
        return None
    return _find_entry(host, file, [host.table], is_of_project=True)


def _find_entry(host: Host, file: Path, tables: Sequence[tuple[str, ...]], *, is_of_project: bool) -> _Located | None:
    document = _parsed(host, file)
    for table in tables:
        try:
            servers = table_in(document, table)
        except InvalidFile as exc:
            raise _Unreadable(f"{file}: {exc}", _mend(host)) from None
        entry = (servers or {}).get(SERVER_KEY)
        if isinstance(entry, dict):
            return _Located(host, file, cast("Mapping[str, Any]", entry), is_of_project)
    return None


def _parsed(host: Host, file: Path) -> Document:
    try:
        return parse(host, read(file) or "")
    except HostFileError as exc:
        remedy = f"Make it a text file in UTF-8 that you may read, and restart {host.title}"
        raise _Unreadable(str(exc), remedy) from None
    except InvalidFile as exc:
        raise _Unreadable(f"{file}: {exc}", _mend(host)) from None


def _mend(host: Host) -> str:
    return f"Mend that place in the file: until then {host.title} reads none of its servers"


async def _check_launch(host: Host, launch: Launch, search: HostSearch, folder: Path) -> Finding:
    command = find_command(launch.command, launch.search_path, folder)
    if command is None:
        elsewhere = find_command(launch.command, search.machine.environ.get("PATH", ""), folder)
        where = f"at {elsewhere}, where {host.title} does not look" if elsewhere else "not there"
        message = f"its command {launch.command} is {where} (spawn ENOENT)"
        remedy = f"{_install(host)}: that writes the whole path of uvx; without uvx, install uv first"
        return failure(host.title, message, remedy, command=launch.command)
    try:
        answer = await start(launch, command, folder, search.within)
    except NoAnswer as exc:
        return _not_started(host, launch, exc, search)
    return _check_answer(host, launch, answer, search)


def _not_started(host: Host, launch: Launch, exc: NoAnswer, search: HostSearch) -> Finding:
    last = f"; it said: {exc.said}" if exc.said else ""
    by_hand = f"Run `{command_line(launch, search.machine.platform)}` in a terminal to see why"
    if isinstance(exc.why, TimeoutError):
        message = f"its command starts and does not answer within {search.within:g} seconds{last}"
        return failure(host.title, message, f"{by_hand}; the first start downloads the package and may take longer")
    if isinstance(exc.why, OSError) and exc.why.errno in (errno.EACCES, errno.ENOEXEC):
        return failure(host.title, f"its command {launch.command} cannot be run: {exc.why.strerror}", by_hand)
    return failure(host.title, f"its command ends before it answers{last}", by_hand)


async def _check_address(host: Host, address: Address, search: HostSearch) -> Finding:
    url = redact(address.url.partition("?")[0])
    if "URL" in address.withheld:
        return skipped(host.title, f"{url} refers to a variable, which is not filled in here, so it is not asked")
    if not is_private(address.url):
        remedy = (
            "Let it be reached over https; over http anybody on the way could read the token, which can spend money"
        )
        return failure(host.title, f"{url} is neither https nor on this machine, and is not asked", remedy)
    left_out = ", ".join(map(mask_keys, address.withheld))
    try:
        finding = _check_answer(host, address, await ask(address, search.within), search)
    except NoAnswer as exc:
        return _not_answered(host, address, exc, url, left_out)
    without = f", without {left_out}, which may hold a key and is not sent from here" if left_out else ""
    return replace(finding, said=f"{finding.said}{without}")


def _not_answered(host: Host, address: Address, exc: NoAnswer, url: str, left_out: str) -> Finding:
    if exc.status in (401, 403) and left_out:
        why = "holds a key or refers to another variable than our own token"
        return skipped(host.title, f"{url} answers; {left_out} {why}, and is not sent from here")
    if exc.status in (401, 403) and address.asks:
        return skipped(host.title, f"{url} answers; the token that {host.title} asks its user for is not looked at")
    if exc.status in (401, 403):
        unset = f" ({', '.join(address.unset)} is not set)" if address.unset else ""
        remedy = f"Put a token into its entry that the server's operator gave you{unset}"
        return failure(host.title, f"{url} answers {exc.status}: the token is missing or wrong", remedy)
    if exc.status:
        remedy = "Check the URL in its entry; the path is usually /mcp"
        return failure(host.title, f"{url} answers {exc.status} and is no MCP server", remedy)
    cause = cause_of(exc.why)
    remedy = f"Check the URL in its entry; {cause.remedy[:1].lower()}{cause.remedy[1:]}"
    return failure(host.title, f"{url} {cause.said}", remedy)


def _check_answer(host: Host, read: Launch | Address, answer: Launched, search: HostSearch) -> Finding:
    message = f"answers in {answer.ms} ms with {answer.tools} tools, version {answer.version}"
    facts = {"ms": answer.ms, "tools": answer.tools, "version": answer.version}
    if answer.name != SERVER_KEY:
        remedy = f"Run `agentphone-mcp install {host.key}`: it replaces the entry"
        return warning(host.title, f"{message}, but it is another server, {mask_keys(answer.name)}", remedy, **facts)
    unset = [name for name in read.unset if name != KEY_VARIABLE or not search.is_key_in_keychain]
    if names := ", ".join(unset):
        message = f"{message}, but its entry refers to {names}, which is not set here"
        remedy = f"Set {names} where {host.title} is started, or keep the key with `agentphone-mcp login`"
        return warning(host.title, message, remedy, **facts)
    return ok(host.title, message, **facts)
