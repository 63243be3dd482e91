"""Write the tables of the documentation: hosts, the files where each keeps its servers, and settings."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from agentphone_mcp.commands.install.hosts import HOSTS, Host
from agentphone_mcp.commands.install.locations import Machine
from agentphone_mcp.config.environment import WITHOUT_OPTION
from manifests.source.buttons import links
from manifests.source.entries import local_name, remote_name
from manifests.source.variables import transport, variables

_BUNDLE = "[open the `.mcpb` of a release](manifests/README.md#the-bundle)"
_SYSTEMS = {"macOS": "darwin", "Linux": "linux", "Windows": "win32"}
_WINDOWS_FOLDERS = {"AppData/Roaming": "%APPDATA%", "AppData/Local": "%LOCALAPPDATA%"}
# A Store app's folder ends in a name that its publisher has; only with such a folder do we look into it.
_STORE_APP = Path("AppData", "Local", "Packages", "Claude_…")


def short_table() -> Iterator[str]:
    """Generate the table of hosts with their names for `install`, links, and ready entries."""
    at_a_click = {"claude-desktop": _BUNDLE} | {
        key: f"[add to {HOSTS[key].title}]({url})" for key, url in links().items()
    }
    yield "| Host | `install …` | At a click | By hand |"
    yield "|---|---|---|---|"
    for host in HOSTS.values():
        yield f"| {host.title} | `{host.key}` | {at_a_click.get(host.key, '')} | {_entries(host, 'manifests/hosts/')} |"


def file_table() -> Iterator[str]:
    """Generate the table of hosts with the files that they read."""
    yield f"| Host | {' | '.join(_SYSTEMS)} | In a project | Entry |"
    yield "|---|---|---|---|---|---|"
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / _STORE_APP).mkdir(parents=True)
        for host in HOSTS.values():
            files = [_files(host, platform, home) for platform in _SYSTEMS.values()]
            project = f"`{host.project_file}`" if host.project_file else ""
            yield f"| {' | '.join((host.title, *files, project, _entries(host, 'hosts/')))} |"


def setting_table() -> Iterator[str]:
    """Give each variable a row: its option, its default and what it does."""
    yield "| Variable | Option | Default | |"
    yield "|---|---|---|---|"
    for variable in [*variables(), transport()]:
        name = variable["name"]
        option = "" if name in WITHOUT_OPTION else f"`--{name.removeprefix('AGENTPHONE_').lower().replace('_', '-')}`"
        default = f"`{variable['default']}`" if variable.get("default") else ""
        choices = f" One of {', '.join(variable['choices'])}." if "choices" in variable else ""
        yield f"| `{name}` | {option} | {default} | {variable['description']}{choices} |"


def _entries(host: Host, folder: str) -> str:
    named = {"local": local_name(host), "remote": remote_name(host)}
    return ", ".join(f"[{label}]({folder}{name})" for label, name in named.items() if name)


def _files(host: Host, platform: str, home: Path) -> str:
    """Return the files of one system in its notation, most likely first."""
    paths = [file.relative_to(home).as_posix() for file in host.user_files(Machine(platform, home, {}))]
    return ", else ".join(f"`{_on_windows(path) if platform == 'win32' else f'~/{path}'}`" for path in paths)


def _on_windows(path: str) -> str:
    for folder, variable in _WINDOWS_FOLDERS.items():
        if path.startswith(folder):
            return path.replace(folder, variable, 1).replace("/", "\\")
    return rf"%USERPROFILE%\{path}".replace("/", "\\")
