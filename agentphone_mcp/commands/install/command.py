"""Run `agentphone-mcp install`: add the server to the hosts on this machine, or remove it."""

import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import click

from agentphone_mcp.api.allowlist import DEFAULT_BASE_URL, is_loopback
from agentphone_mcp.api.api_key import mask_keys
from agentphone_mcp.commands.install import editing, files
from agentphone_mcp.commands.install.entries import (
    TOKEN_VARIABLE,
    PlainText,
    UnsupportedSetup,
    build_entry,
    build_inputs,
)
from agentphone_mcp.commands.install.files import Change, HostFileError
from agentphone_mcp.commands.install.hosts import HOSTS, Host
from agentphone_mcp.commands.install.locations import read_machine
from agentphone_mcp.commands.install.merging import Merged
from agentphone_mcp.commands.install.programs import (
    PORTABLE_PROGRAM,
    Program,
    ProgramNotFound,
    find_program,
    shared_program,
)
from agentphone_mcp.commands.install.setup import InstallOptions, choose_setup
from agentphone_mcp.commands.install.targets import ALL, Target, choose_hosts, find_targets
from agentphone_mcp.commands.options import HELP_NAMES, setting_option
from agentphone_mcp.config.config import read_state, read_toolsets
from agentphone_mcp.config.environment import complete_session_bus
from agentphone_mcp.config.settings import ConfigError
from agentphone_mcp.policy.untrusted import clean
from agentphone_mcp.variables import KEY_VARIABLE, TOOLSETS

_LONGEST_NAME, _MOST_NAMES = 60, 20
_IS_REFERENCE = re.compile(r"[$]\{?\w")


@click.command(context_settings=HELP_NAMES, epilog=f"Hosts: {', '.join(HOSTS)}.")
@click.argument("host", required=False, metavar="[HOST]", type=click.Choice([*HOSTS, ALL]))
@click.option("--print", "only_print", is_flag=True, help="Show what would stand in the file, and change nothing.")
@click.option(
    "--project",
    is_flag=False,
    flag_value=".",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="[DIR]",
    help="In the project in DIR, the current folder if left out, for all who work on it.",
)
@click.option("--file", type=click.Path(dir_okay=False, path_type=Path), help="In this file instead of the host's own.")
@click.option("--read-only", is_flag=True, help="Only tools that change nothing.")
@click.option("--toolsets", default="", help=f"Comma-separated: {', '.join(TOOLSETS)}; all if left out.")
@click.option("--sandbox", is_flag=True, help="With an AgentPhone of its own: no account, no key, no money.")
@click.option("--remote", metavar="URL", help="A server that runs elsewhere, by the URL of its /mcp.")
@click.option("--key-file", metavar="PATH", help="Read the key from this file.")
@click.option("--plain-key", is_flag=True, help="Write the key itself into the file, for whoever can read it.")
@setting_option("keychain")
@click.option("--uninstall", is_flag=True, help="Take the server out again, and nothing else.")
def install(
    host: str | None,
    only_print: bool,
    project: Path | None,
    file: Path | None,
    read_only: bool,
    toolsets: str,
    sandbox: bool,
    remote: str | None,
    key_file: str | None,
    plain_key: bool,
    keychain: str,
    uninstall: bool,
) -> None:
    """Install the server in HOST, or `all` that are found here; without HOST, choose from a menu.

    Everything else in the host's file stays as it is, and a copy of the file is kept beside it.
    """
    options = InstallOptions(
        read_only, _toolsets(toolsets), sandbox, remote, key_file, plain_key, is_shared=project is not None
    )
    _check(options, uninstall=uninstall, only_print=only_print, file=file, project=project)
    machine = read_machine(os.environ)
    complete_session_bus(os.environ)
    is_in_keychain = _is_in_keychain if keychain == "on" else lambda: False
    chosen = choose_hosts(host, machine, uninstall=uninstall)
    if file and len(chosen) > 1:
        raise click.UsageError("--file is one host's: name that host")
    failed = False
    for each in chosen:
        try:
            targets = find_targets(each, machine, project, file, uninstall=uninstall)
            for target in targets:
                if uninstall:
                    _uninstall(target)
                elif only_print:
                    _print(target, options, is_in_keychain)
                else:
                    _install(target, options, is_in_keychain)
        except (HostFileError, UnsupportedSetup, ConfigError, ProgramNotFound) as exc:
            if len(chosen) == 1:
                raise click.ClickException(str(exc)) from None
            click.echo(f"{each.title}: {exc}.", err=True)
            failed = True
    if failed:
        sys.exit(1)


def _toolsets(text: str) -> tuple[str, ...]:
    try:
        chosen = read_toolsets(text)
    except ConfigError as exc:
        raise click.BadParameter(str(exc).partition(": ")[2], param_hint="'--toolsets'") from None
    return () if chosen == TOOLSETS else chosen


def _check(
    options: InstallOptions, *, uninstall: bool, only_print: bool, file: Path | None, project: Path | None
) -> None:
    """Refuse options that do not go together.

    Raises:
        click.UsageError: with one sentence that names them.
    """
    if uninstall and (only_print or options != InstallOptions(is_shared=options.is_shared)):
        raise click.UsageError("--uninstall takes HOST, --project and --file alone")
    if file and project:
        raise click.UsageError("--file and --project are two places: keep one")
    if options.is_shared and (options.plain_key or options.key_file):
        raise click.UsageError("a project's file is shared, so no key and no path of yours belongs in it")
    if only_print and options.plain_key:
        raise click.UsageError("--print shows no key: leave --plain-key out")
    if options.plain_key and options.key_file:
        raise click.UsageError("--plain-key and --key-file are two ways: keep one")
    if options.sandbox and (options.plain_key or options.key_file or options.remote):
        raise click.UsageError("--sandbox needs neither a key nor a server elsewhere")
    if options.remote is None:
        return
    if options.read_only or options.toolsets or options.key_file:
        raise click.UsageError("a server that runs elsewhere is set up there: --remote takes --plain-key alone")
    _check_remote(options.remote)


def _check_remote(remote: str) -> None:
    if not _is_address(remote):
        raise click.UsageError("--remote takes a URL such as https://phone.example.com/mcp, without a password")
    url = urlsplit(remote)
    if url.scheme != "https" and not is_loopback(url.hostname or ""):
        raise click.UsageError(
            "over http anybody on the way could read the token, which can spend money: --remote takes https, or this "
            "machine's own address"
        )


def _is_address(remote: str) -> bool:
    try:
        url = urlsplit(remote)
        # Looking at the port finds out whether it is one.
        is_whole = bool(url.hostname) and url.port != 0
    except ValueError:
        return False
    has_blanks = any(letter.isspace() or not letter.isprintable() for letter in remote)
    return url.scheme in ("http", "https") and is_whole and not has_blanks and not (url.username or url.password)


def _program(target: Target, options: InstallOptions) -> Program:
    if options.remote:
        return PORTABLE_PROGRAM
    if options.is_shared:
        return shared_program(target.machine)
    return find_program(target.machine, sys.argv[0])


def _for(target: Target, options: InstallOptions) -> InstallOptions:
    """Return the options for a file; one of a project that --file names gets no token that was not asked for."""
    is_found = options.remote is not None and not options.plain_key
    return replace(options, is_shared=True) if target.is_shared and is_found else options


def _is_in_keychain() -> bool:
    from agentphone_mcp.config.keychain import NoKeychain, find

    try:
        return find(DEFAULT_BASE_URL) is not None
    except NoKeychain:
        return False


def _print(target: Target, options: InstallOptions, is_in_keychain: Callable[[], bool]) -> None:
    program = _program(target, options)
    setup, key_note = choose_setup(target.host, _for(target, options), target.machine, program, is_in_keychain)
    if isinstance(setup.key, PlainText):
        setup = replace(setup, key=PlainText("TOKEN"))
    entry = build_entry(target.host, setup, target.file)
    text = editing.install(target.host, "", entry, build_inputs(target.host, setup))
    # Hosts read UTF-8, whatever the code page of a pipe; a terminal is written to in its own.
    click.echo(text if sys.stdout.isatty() else text.encode(), nl=False)
    for sentence in filter(None, (f"This belongs in {target.file}.", program.remark, key_note)):
        click.echo(sentence, err=True)


def _install(target: Target, options: InstallOptions, is_in_keychain: Callable[[], bool]) -> None:
    host, program = target.host, _program(target, options)
    setup, key_note = choose_setup(host, _for(target, options), target.machine, program, is_in_keychain)
    entry, asked = build_entry(host, setup, target.file), build_inputs(host, setup)
    merged = Merged(entry)

    def edit(text: str | None) -> str:
        nonlocal merged
        if not target.is_shared:
            return editing.install(host, text or "", entry, asked)
        written, merged = editing.install_shared(host, text or "", entry, asked, target.machine.environ)
        return written

    change = _edit_file(target, edit, is_shared=options.is_shared)
    done = "installed in" if change.changed else "already there, unchanged:"
    click.echo(f"{host.title}: {done} {change.file}")
    _report_merged(merged)
    _report_backup(host, change)
    others = [file for file in host.user_files(target.machine) if os.path.isdir(file.parent) and file != target.file]
    is_own = target.file in host.user_files(target.machine)
    remarks = [f"There is also {file}, which is left alone: --file installs there." for file in others if is_own]
    for sentence in filter(None, (*remarks, program.remark, key_note)):
        click.echo(f"  {sentence}")
    click.echo(f"  Next: restart {host.title}; `agentphone-mcp doctor` says whether it works.")


def _uninstall(target: Target) -> None:
    host = target.host
    before = files.previous_text(target.file, lambda text: editing.find(host, text) is None)
    change = _edit_file(target, lambda text: None if text is None else editing.uninstall(host, text, before))
    if not change.changed:
        click.echo(f"{host.title}: it was not there: {change.file}")
        return
    click.echo(f"{host.title}: removed from {change.file}")
    _report_backup(host, change)
    click.echo(f"  Next: restart {host.title}.")


def _report_merged(merged: Merged) -> None:
    if merged.kept:
        click.echo(f"  Kept of what stood there: {_listed(merged.kept)}.")
    if merged.dropped:
        click.echo(f"  Dropped, as others may have written it: {_listed(merged.dropped)}.")


def _listed(names: Sequence[str]) -> str:
    shown = [mask_keys(" ".join(clean(name).split()))[:_LONGEST_NAME] for name in dict.fromkeys(names)]
    more = f" and {len(shown) - _MOST_NAMES} more" if len(shown) > _MOST_NAMES else ""
    return f"{', '.join(shown[:_MOST_NAMES])}{more}"


def _report_backup(host: Host, change: Change) -> None:
    if change.backup is None:
        return
    click.echo(f"  What it held before is kept in {change.backup.name}, beside it.")
    if _holds_secret(host, files.read(change.backup) or ""):
        click.echo("  It has your key in plain text: delete it when you need it no more.")


def _edit_file(target: Target, edit: files.Edit, *, is_shared: bool = False) -> Change:
    lock = Path(read_state("")) / "install.lock"
    holds_secret = partial(_holds_secret, target.host)
    return files.change(target.file, edit, lock, datetime.now(), is_shared=is_shared, holds_secret=holds_secret)


def _holds_secret(host: Host, text: str) -> bool:
    """Tell whether our entry in a text has a key or a token in it, and not only a reference to one."""
    entry = editing.find(host, text) if text else None
    given = entry.values() if isinstance(entry, dict) else ()
    tables = [cast("Mapping[str, object]", each) for each in given if isinstance(each, dict)]
    values = {name: str(value) for table in tables for name, value in table.items()}
    named = [values.get(name, "") for name in ("Authorization", KEY_VARIABLE, TOKEN_VARIABLE)]
    is_plain = any(value and not _IS_REFERENCE.search(value) for value in named)
    return is_plain or mask_keys(json.dumps(entry, default=str)) != json.dumps(entry, default=str)
