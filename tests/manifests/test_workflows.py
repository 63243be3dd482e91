"""The workflows test every promised system and have no more rights than they need."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
EACH = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)


def read(path: Path) -> dict[str, Any]:
    """Load a workflow; YAML reads its key `on` as true."""
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {"on" if name is True else name: value for name, value in workflow.items()}


@EACH
def test_a_workflow_may_only_read_unless_a_job_says_more(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert "secrets." not in path.read_text(encoding="utf-8")
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 60
        for step in job["steps"]:
            if "uses" in step:
                assert re.fullmatch(r"[\w-]+/[\w-]+@(v\d+|release/v1)", step["uses"])
            if str(step.get("uses")).startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


def test_the_tests_run_on_every_system_and_python_that_is_promised() -> None:
    matrix = read(ROOT / ".github/workflows/ci.yml")["jobs"]["test"]["strategy"]["matrix"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert matrix["os"] == ["ubuntu-latest", "macos-latest", "windows-latest"]
    assert project["requires-python"] == f">={matrix['python'][0]}"
    assert matrix["python"] == ["3.11", "3.12", "3.13", "3.14"]


def test_only_what_was_built_and_tried_is_published_and_by_no_token() -> None:
    workflow = read(ROOT / ".github/workflows/publish.yml")
    build, publish = workflow["jobs"]["build"], workflow["jobs"]["publish"]
    assert workflow["on"] == {"release": {"types": ["published"]}}
    assert "permissions" not in build
    assert publish["permissions"] == {"id-token": "write"}
    assert publish["needs"] == "build"
    assert not any("run" in step for step in publish["steps"])


def test_nothing_of_ours_runs_where_something_can_be_published() -> None:
    jobs = read(ROOT / ".github/workflows/publish.yml")["jobs"]
    assert {name: job["permissions"] for name, job in jobs.items() if name != "build"} == {
        "publish": {"id-token": "write"},
        "attach": {"contents": "write"},
        "register": {"id-token": "write"},
    }
    for job in (jobs["attach"], jobs["register"]):
        assert [step["uses"] for step in job["steps"] if "uses" in step] == ["actions/download-artifact@v4"]
        script = " ".join(step.get("run", "") for step in job["steps"])
        assert "python" not in script
        assert "${{" not in script, "what others named is read from variables and not by the shell"
    assert jobs["register"]["needs"] == "publish", "the registry looks at the published package"
    assert "environment" not in jobs["register"], "it must not be able to publish the package"
