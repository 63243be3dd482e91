"""Run all checks, independent ones concurrently, and return their findings in a fixed order."""

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
    """Checks the hosts."""

    def __call__(self, *, is_key_in_keychain: bool) -> Awaitable[Sequence[Finding]]:
        """Check the hosts, given whether the key is in the system's keychain."""
        ...


@dataclass(frozen=True)
class Environment:
    """Holds what the checks read.

    Attributes:
        environ: the environment variables, with the command's options applied.
        host_keys: the key in each host's entry, by the host's title; None if the host stores the key itself.
        sandbox: the URL and the key of this process's sandbox, if it is checked instead of the API.
    """

    environ: Mapping[str, str]
    machine: Machine
    host_keys: Mapping[str, str | None] = field(default_factory=dict[str, str | None])
    sandbox: tuple[str, str] | None = None


async def run_checks(environment: Environment, hosts: HostsCheck | None = None) -> list[Finding]:
    """Run all checks, which change nothing, in the time of the slowest; without `hosts`, those are left out."""
    settings, about_settings = check_settings(environment.environ)
    if environment.sandbox is not None:
        url, value = environment.sandbox
        settings = replace(settings, allowlist=Allowlist.for_base(url, None))
        key, about_key = FoundKey(ApiKey(value), "the sandbox"), skipped("key", "a sandbox has its own")
    elif settings.uses_caller_keys:
        key, about_key = None, skipped("key", "each caller brings their own")
    else:
        keychain = find if settings.has_keychain else None
        look_up = partial(
            check_key, environment.environ, settings.allowlist, keychain=keychain, hosts=environment.host_keys
        )
        # A keychain may prompt its user.
        key, about_key = await run_sync(look_up)
    checks: dict[str, Check] = {
        "installed": lambda: _check_installation(environment),
        "API": lambda: _check_api(settings, key, environment.environ),
        "ledger": lambda: check_ledger(settings.state),
    }
    if hosts:
        checks["hosts"] = partial(hosts, is_key_in_keychain=key is not None and key.source == KEYCHAIN)
    results: dict[str, Sequence[Finding]] = {}

    async def run(name: str, check: Check) -> None:
        try:
            results[name] = await check()
        except Exception as exc:  # noqa: BLE001 - one broken check must not hide the findings of the others
            message = f"this check broke down: {type(exc).__name__}: {mask_keys(str(exc))}"
            results[name] = [failure(name, message, "It is a mistake of ours: please report it with this line")]

    async with anyio.create_task_group() as group:
        for name, check in checks.items():
            group.start_soon(run, name, check)
    local = results.pop("installed")
    return [*local, *about_settings, about_key, *(each for name in checks for each in results.get(name, ()))]


async def _check_installation(environment: Environment) -> list[Finding]:
    uvx = await check_uvx(environment.machine)
    return [check_python(required_python()), check_packages(requirements()), check_time_zones(), uvx]


async def _check_api(settings: Settings, key: FoundKey | None, environ: Mapping[str, str]) -> list[Finding]:
    if settings.allowlist is None:
        return [skipped(check, "the base URL is refused") for check in ("network", "API", *NEEDS_THE_API)]
    network = await check_network(settings.allowlist, environ)
    if network.status == "failure":
        return [network, *(skipped(check, "the network comes first") for check in ("API", *NEEDS_THE_API))]
    if key is None:
        return [network, *(skipped(check, "there is no key to ask with") for check in ("API", *NEEDS_THE_API))]
    return [network, *await check_account(settings.allowlist, key, settings.sub_account, settings.timeout)]
