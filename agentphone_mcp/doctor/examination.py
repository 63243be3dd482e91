"""All the checks in the order in which they are shown; those that wait for nothing of each other run at once."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio

from agentphone_mcp.api.key import ApiKey
from agentphone_mcp.doctor.account import NEEDS_THE_API, check_account
from agentphone_mcp.doctor.finding import Finding, skipped
from agentphone_mcp.doctor.installed import (
    check_packages,
    check_python,
    check_time_zones,
    check_uvx,
    required_python,
    requirements,
)
from agentphone_mcp.doctor.key import FoundKey, check_key
from agentphone_mcp.doctor.ledger import check_ledger
from agentphone_mcp.doctor.network import check_network
from agentphone_mcp.doctor.settings import Settings, check_settings

Check = Callable[[], Awaitable[Sequence[Finding]]]


@dataclass(frozen=True)
class Patient:
    """What is to be examined.

    Attributes:
        environ: the variables, those that options override among them.
        home: the home folder of whoever asks.
        sandbox_key: set where the API is a sandbox of this process's own, which has a key of its own.
    """

    environ: Mapping[str, str]
    home: Path
    sandbox_key: str | None = None


async def examine(patient: Patient, hosts: Check | None = None) -> list[Finding]:
    """Look at everything and change nothing; takes as long as the slowest of it.

    Args:
        patient: what is to be examined.
        hosts: looks at the hosts as well.
    """
    settings, said = check_settings(patient.environ)
    if patient.sandbox_key is None:
        key, told = check_key(patient.environ, settings.allowlist)
    else:
        key, told = FoundKey(ApiKey(patient.sandbox_key), "the sandbox"), skipped("key", "a sandbox has its own")
    checks: list[Check] = [
        lambda: _installed(patient),
        lambda: _kept([*said, told]),
        lambda: _api(settings, key),
        lambda: check_ledger(settings.state),
        *([hosts] if hosts else []),
    ]
    found: dict[int, Sequence[Finding]] = {}

    async def look(place: int, check: Check) -> None:
        found[place] = await check()

    async with anyio.create_task_group() as beside:
        for place, check in enumerate(checks):
            beside.start_soon(look, place, check)
    return [finding for place in sorted(found) for finding in found[place]]


async def _installed(patient: Patient) -> list[Finding]:
    uvx = await check_uvx(patient.environ, patient.home)
    return [check_python(required_python()), check_packages(requirements()), check_time_zones(), uvx]


async def _kept(findings: Sequence[Finding]) -> Sequence[Finding]:
    return findings


async def _api(settings: Settings, key: FoundKey | None) -> list[Finding]:
    if settings.allowlist is None:
        return [skipped(check, "the base URL is refused") for check in ("network", "API", *NEEDS_THE_API)]
    network = await check_network(settings.allowlist)
    if network.status == "failure":
        return [network, *(skipped(check, "the network comes first") for check in ("API", *NEEDS_THE_API))]
    if key is None:
        return [network, *(skipped(check, "there is no key to ask with") for check in ("API", *NEEDS_THE_API))]
    return [network, *await check_account(settings.allowlist, key, settings.sub_account, settings.timeout)]
