"""Check the hosts installed here: that our entry exists, is valid, and starts a server that answers."""

import errno
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import anyio

from agentphone_mcp.api.api_key import mask_keys
from agentphone_mcp.commands.doctor.finding import Finding, failure, ok, skipped, warning
from agentphone_mcp.commands.doctor.host_entries import Address, InvalidEntry, Launch, is_switched_off, read_entry
from agentphone_mcp.commands.doctor.launch import Answer, NoAnswer, ask, command_line, redact, start
from agentphone_mcp.commands.doctor.network import cause_of
from agentphone_mcp.commands.install.documents import Document, InvalidFile, table_in
from agentphone_mcp.commands.install.editing import parse
from agentphone_mcp.commands.install.files import HostFileError, read
from agentphone_mcp.commands.install.hosts import HOSTS, SERVER_KEY, Host
from agentphone_mcp.commands.install.locations import Machine
from agentphone_mcp.variables import KEY_VARIABLE

_AT_ONCE = 2
"""How many hosts are checked at once, as each server takes a processor for a second."""


@dataclass(frozen=True)
class HostSearch:
    """Says where to look for hosts, and how long to wait for their servers.

    Attributes:
        project: the folder whose project files hosts read.
        within: the time in which a server has to start and answer, in seconds.
        is_key_in_keychain: whether the key is in the system's keychain, so that no variable has to hold it.
    """

    machine: Machine
    project: Path
    within: float = 30.0
    is_key_in_keychain: bool = False


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
    by_host: dict[str, Finding] = {}
    limiter = anyio.Semaphore(_AT_ONCE)

    async def check_one(host: Host) -> None:
        async with limiter:
            by_host[host.key] = await _check(host, search, must_be=only is not None)

    async with anyio.create_task_group() as group:
        for host in hosts:
            group.start_soon(check_one, host)
    findings = [by_host[host.key] for host in hosts]
    if all(finding.facts.get("entry") is False for finding in findings):
        remedy = "Run `agentphone-mcp install`, and restart the host"
        names = ", ".join(host.title for host in hosts)
        return [failure("hosts", f"none of those installed has an entry of agentphone: {names}", remedy)]
    return findings


def host_keys(search: HostSearch) -> dict[str, str | None]:
    """Return the API key in each host's entry, by the host's title; None if the host stores the key itself."""
    keys: dict[str, str | None] = {}
    for host in HOSTS.values():
        try:
            entry = _find_entry(host, search) if host.is_installed(search.machine) else None
            read = read_entry(host.key, entry[1], search.machine.environ, search.machine.platform) if entry else None
        except (_Unreadable, InvalidEntry):
            continue  # the check of that host reports it
        if isinstance(read, Launch):
            text = read.environ.get(KEY_VARIABLE)
            if text or read.asks:
                keys[host.title] = text
    return keys


async def _check(host: Host, search: HostSearch, *, must_be: bool) -> Finding:
    install = f"Run `agentphone-mcp install {host.key}`, and restart {host.title}"
    try:
        located = _find_entry(host, search)
    except _Unreadable as exc:
        return failure(host.title, mask_keys(str(exc)), exc.remedy)
    if located is None:
        message = f"has no entry of {SERVER_KEY} in {host.user_file(search.machine)}"
        if must_be:
            return failure(host.title, message, install)
        remedy = f"Run `agentphone-mcp install {host.key}` if it should have one"
        return Finding(host.title, "skipped", message, remedy, {"entry": False})
    file, entry = located
    if is_switched_off(entry):
        return warning(host.title, f"its entry in {file} is switched off", f"Switch it on in {host.title}")
    try:
        read = read_entry(host.key, entry, search.machine.environ, search.machine.platform)
    except InvalidEntry as exc:
        return failure(host.title, f"its entry in {file}: {exc}", install)
    is_remote = isinstance(read, Address)
    return await (_check_address(host, read, search) if is_remote else _check_launch(host, read, search, install))


def _find_entry(host: Host, search: HostSearch) -> tuple[Path, Mapping[str, Any]] | None:
    """Find the entry and its file: the user's, or else that of the current project."""
    for file, tables in _sources(host, search):
        document = _parsed(host, file)
        for table in tables:
            try:
                servers = table_in(document, table)
            except InvalidFile as exc:
                raise _Unreadable(f"{file}: {exc}", _mend(host)) from None
            entry = (servers or {}).get(SERVER_KEY)
            if isinstance(entry, dict):
                return file, cast("Mapping[str, Any]", entry)
    return None


def _sources(host: Host, search: HostSearch) -> Iterator[tuple[Path, list[tuple[str, ...]]]]:
    # `claude mcp add` without a scope writes an entry for one project into the user's file.
    of_project = [("projects", str(search.project), *host.table)] if host.key == "claude-code" else []
    yield host.user_file(search.machine), [host.table, *of_project]
    if host.project_file:
        yield search.project / host.project_file, [host.table]


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


async def _check_launch(host: Host, launch: Launch, search: HostSearch, install: str) -> Finding:
    command = shutil.which(launch.command, path=launch.search_path)
    if command is None:
        elsewhere = shutil.which(launch.command, path=search.machine.environ.get("PATH", ""))
        where = f"at {elsewhere}, where {host.title} does not look" if elsewhere else "not there"
        message = f"its command {launch.command} is {where} (spawn ENOENT)"
        remedy = f"{install}: that writes the whole path of uvx; without uvx, install uv first"
        return failure(host.title, message, remedy, command=launch.command)
    try:
        answer = await start(launch, command, search.within)
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
    try:
        return _check_answer(host, address, await ask(address, search.within), search)
    except NoAnswer as exc:
        url = redact(address.url.partition("?")[0])
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


def _check_answer(host: Host, read: Launch | Address, answer: Answer, search: HostSearch) -> Finding:
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
