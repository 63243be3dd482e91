"""All the checks in the order in which they are shown; those that wait for nothing of each other run at once."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

import anyio
from anyio.to_thread import run_sync

from agentphone_mcp.api.allowlist import Allowlist
from agentphone_mcp.api.api_key import ApiKey, mask_keys
from agentphone_mcp.commands.doctor.account import NEEDS_THE_API, check_account
from agentphone_mcp.commands.doctor.finding import Finding, failure, skipped
from agentphone_mcp.commands.doctor.installation import (
    check_packages,
    check_python,
    check_time_zones,
    check_uvx,
    required_python,
    requirements,
)
from agentphone_mcp.commands.doctor.key import KEYCHAIN, FoundKey, check_key
from agentphone_mcp.commands.doctor.ledger import check_ledger
from agentphone_mcp.commands.doctor.network import check_network
from agentphone_mcp.commands.doctor.settings import Settings, check_settings
from agentphone_mcp.commands.install.locations import Machine
from agentphone_mcp.config.keychain import find

Check = Callable[[], Awaitable[Sequence[Finding]]]


class HostsCheck(Protocol):
    """Looks at the hosts."""

    def __call__(self, *, is_key_in_keychain: bool) -> Awaitable[Sequence[Finding]]:
        """Look, knowing whether the key is in the system's keychain."""
        ...


@dataclass(frozen=True)
class Environment:
    """What is to be examined.

    Attributes:
        environ: the variables, those that options override among them.
        place: the person and the machine.
        host_keys: the key that stands in the entry of a host, by its title; None where the host keeps it by itself.
        sandbox: the address and the key of a sandbox of this process's own, where that is to be asked.
    """

    environ: Mapping[str, str]
    machine: Machine
    host_keys: Mapping[str, str | None] = field(default_factory=dict[str, str | None])
    sandbox: tuple[str, str] | None = None


async def run_checks(environment: Environment, hosts: HostsCheck | None = None) -> list[Finding]:
    """Look at everything and change nothing; takes as long as the slowest of it.

    Args:
        patient: what is to be examined.
        hosts: looks at the hosts as well.
    """
    settings, said = check_settings(environment.environ)
    if environment.sandbox is not None:
        url, value = environment.sandbox
        settings = replace(settings, allowlist=Allowlist.for_base(url, None))
        key, told = FoundKey(ApiKey(value), "the sandbox"), skipped("key", "a sandbox has its own")
    elif settings.uses_caller_keys:
        key, told = None, skipped("key", "each caller brings their own")
    else:
        keychain = find if settings.has_keychain else None
        search = partial(
            check_key, environment.environ, settings.allowlist, keychain=keychain, hosts=environment.host_keys
        )
        # A keychain may have to wait for its user.
        key, told = await run_sync(search)
    checks: dict[str, Check] = {
        "installed": lambda: _installed(environment),
        "API": lambda: _api(settings, key),
        "ledger": lambda: check_ledger(settings.state),
    }
    if hosts:
        checks["hosts"] = partial(hosts, is_key_in_keychain=key is not None and key.source == KEYCHAIN)
    found: dict[str, Sequence[Finding]] = {}

    async def run(name: str, check: Check) -> None:
        try:
            found[name] = await check()
        except Exception as exc:  # noqa: BLE001 - whatever it is, what the others find is worth having
            said = f"this check broke down: {type(exc).__name__}: {mask_keys(str(exc))}"
            found[name] = [failure(name, said, "It is a mistake of ours: please report it with this line")]

    async with anyio.create_task_group() as beside:
        for name, check in checks.items():
            beside.start_soon(run, name, check)
    local = found.pop("installed")
    return [*local, *said, told, *(finding for name in checks if name in found for finding in found[name])]


async def _installed(environment: Environment) -> list[Finding]:
    uvx = await check_uvx(environment.machine)
    return [check_python(required_python()), check_packages(requirements()), check_time_zones(), uvx]


async def _api(settings: Settings, key: FoundKey | None) -> list[Finding]:
    if settings.allowlist is None:
        return [skipped(check, "the base URL is refused") for check in ("network", "API", *NEEDS_THE_API)]
    network = await check_network(settings.allowlist)
    if network.status == "failure":
        return [network, *(skipped(check, "the network comes first") for check in ("API", *NEEDS_THE_API))]
    if key is None:
        return [network, *(skipped(check, "there is no key to ask with") for check in ("API", *NEEDS_THE_API))]
    return [network, *await check_account(settings.allowlist, key, settings.sub_account, settings.timeout)]
