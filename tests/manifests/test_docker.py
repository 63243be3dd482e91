"""Containers run without root, write nowhere, hold no secret, and only the balancer is reachable."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from agentphone_mcp.commands.main import main
from tests.support import ROOT

FOLDER = ROOT / "manifests" / "docker"
REPLICAS = ("phone-1", "phone-2")
NOT_OPTIONS = {"AGENTPHONE_API_KEY_FILE", "AGENTPHONE_HTTP_STATE_KEY_FILE"}
"""Variables without an option, because command lines are no place for secrets."""


@pytest.fixture
def compose() -> dict[str, Any]:
    """Load the compose file, with its anchors resolved."""
    return yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def last_stage() -> list[tuple[str, str]]:
    """Return the instructions of the last stage of the Dockerfile, with their arguments."""
    text = (FOLDER / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    instructions = [(name, told.strip()) for name, _, told in (line.partition(" ") for line in lines)]
    last = max(n for n, (name, _) in enumerate(instructions) if name == "FROM")
    return instructions[last:]


def test_two_replicas_are_the_same_and_nothing_in_them_can_be_written(compose: dict[str, Any]) -> None:
    first, second = (compose["services"][name] for name in REPLICAS)
    assert first == second
    assert (first["read_only"], first["cap_drop"], first["tmpfs"]) == (True, ["ALL"], ["/tmp"])
    assert first["security_opt"] == ["no-new-privileges:true"]
    assert all(volume.endswith(":ro") for volume in first["volumes"])
    assert not {"user", "privileged", "cap_add"} & first.keys()


def test_a_replica_has_time_to_finish(compose: dict[str, Any]) -> None:
    assert all(compose["services"][name]["stop_grace_period"] == "35s" for name in REPLICAS)


def test_only_the_balancer_is_reached_and_only_from_this_machine(compose: dict[str, Any]) -> None:
    services = compose["services"]
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert published == {"balancer": ["127.0.0.1:8080:8080"]}
    assert services["database"]["networks"] == ["ledger"]
    assert compose["networks"]["ledger"] == {"internal": True}
    assert "network_mode" not in services["balancer"]


def test_every_secret_is_a_file_that_is_not_kept_here(compose: dict[str, Any]) -> None:
    secrets = {name: Path(secret["file"]) for name, secret in compose["secrets"].items()}
    assert {path.parent for path in secrets.values()} == {Path("secrets")}
    used = {name for service in compose["services"].values() for name in service.get("secrets", ())}
    assert used == secrets.keys()
    for service in compose["services"].values():
        for variable, value in service.get("environment", {}).items():
            assert not re.search("KEY|PASSWORD|SECRET", variable) or value.startswith("/run/secrets/")
            assert not re.search(r"sk_|://[^/@]*:", value), variable
    ignored = ["git", "check-ignore", "-q", *(str(FOLDER / path) for path in secrets.values())]
    assert subprocess.run(ignored, check=False, cwd=FOLDER).returncode in (0, 128), "128 where there is no git"


def test_every_variable_is_one_the_command_reads(compose: dict[str, Any], last_stage: list[tuple[str, str]]) -> None:
    shown = CliRunner().invoke(main, ["--help"]).output
    told = {name for service in compose["services"].values() for name in service.get("environment", {})}
    told |= set(re.findall(r"(AGENTPHONE_\w+)=", " ".join(text for name, text in last_stage if name == "ENV")))
    ours = {name for name in told if name.startswith("AGENTPHONE_")}
    assert [name for name in sorted(ours - NOT_OPTIONS) if name not in shown] == []


def test_the_balancer_knows_the_replicas_by_the_names_they_have(compose: dict[str, Any]) -> None:
    configuration = (FOLDER / "haproxy.cfg").read_text(encoding="utf-8")
    assert set(re.findall(r"-(phone-\d+):8000}", configuration)) == set(REPLICAS)
    assert set(compose["services"]["balancer"]["depends_on"]) == set(REPLICAS)


def test_the_image_runs_as_somebody_who_is_not_root(last_stage: list[tuple[str, str]]) -> None:
    told = dict(last_stage)
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", told["USER"])
    names = [name for name, _ in last_stage]
    assert not {"RUN", "COPY", "ADD"} & set(names[names.index("USER") :])
    assert (told["STOPSIGNAL"], told["EXPOSE"]) == ("SIGTERM", "8000")


def test_the_server_and_its_probe_are_started_without_a_shell(last_stage: list[tuple[str, str]]) -> None:
    told = dict(last_stage)
    assert yaml.safe_load(told["ENTRYPOINT"]) == ["agentphone-mcp"]
    command = json.loads(told["HEALTHCHECK"].partition("CMD ")[2])
    assert command[:2] == ["python", "-c"]
    assert "http://127.0.0.1:8000/healthz" in command[2]
    assert compile(command[2], "HEALTHCHECK", "exec")


def test_nothing_but_the_package_is_sent_to_the_builder() -> None:
    lines = (FOLDER / "Dockerfile.dockerignore").read_text(encoding="utf-8").split()
    assert lines[0] == "*"
    assert {line for line in lines if line.startswith("!")} == {
        "!agentphone_mcp",
        "!pyproject.toml",
        "!README.md",
        "!LICENSE",
    }
