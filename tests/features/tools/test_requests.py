"""What users ask for in their own words, and the tool that a model should find for it in the list."""

import runpy
from typing import Any

import jsonschema
import pytest

from agentphone_mcp.features.tools.catalog import ALL_NAMES, CATALOG
from tests.support import ROOT

TRIAL = runpy.run_path(str(ROOT / "tests" / "golden" / "trial.py"))
REQUESTS: list[dict[str, Any]] = TRIAL["requests"]()
TOOLS = {declared.name: declared.tool for tools in CATALOG.values() for declared in tools}


def right(wanted: dict[str, Any]) -> dict[str, Any]:
    """An answer as it should be."""
    given = {name: value for name, value in wanted["arguments"].items() if value is not None}
    said = {name: value.removeprefix("~") if isinstance(value, str) else value for name, value in given.items()}
    return {"tool": wanted["tool"], "arguments": said}


@pytest.fixture
def call() -> dict[str, Any]:
    """A request that wants a call with the built-in AI."""
    return next(one for one in REQUESTS if one["tool"] == "place_call")


@pytest.mark.parametrize("wanted", REQUESTS, ids=[one["tool"] for one in REQUESTS])
def test_a_request_is_met_by_a_tool_that_takes_its_arguments(wanted) -> None:
    """By the schema that models read, by the tool itself, and by whoever scores answers."""
    answer = right(wanted)
    jsonschema.validate(answer["arguments"], TOOLS[wanted["tool"]].parameters)
    assert TRIAL["misread"](wanted, answer) is None


@pytest.mark.parametrize("wanted", REQUESTS, ids=[one["tool"] for one in REQUESTS])
def test_what_waits_for_a_yes_is_first_called_without_one(wanted) -> None:
    """The user has seen no preview yet."""
    gated = "confirm" in TOOLS[wanted["tool"]].parameters["properties"]
    assert gated == ("confirm" in wanted["arguments"])
    assert wanted["arguments"].get("confirm") is None


def test_the_requests_need_every_tool_but_one() -> None:
    """Forty of them, none twice."""
    assert len({one["request"] for one in REQUESTS}) == 40
    assert ALL_NAMES - {one["tool"] for one in REQUESTS} == {"delete_contact"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"confirm": True}, "place_call with wrong confirm"),
        ({"to_number": "+14155550198"}, "place_call with wrong to_number"),
        ({"prompt": "Move the appointment."}, "place_call with wrong prompt"),
        ({"dry_run": True}, "place_call refuses its arguments: ('dry_run',)"),
        ({"to_number": "415.555.0199"}, None),
    ],
    ids=[
        "a-yes-that-nobody-gave",
        "another-number",
        "half-the-goal",
        "an-argument-made-up",
        "another-spelling",
    ],
)
def test_an_answer_is_scored_by_what_the_tool_would_take(call, change, said) -> None:
    """Not by how it is written."""
    answer = right(call)
    assert TRIAL["misread"](call, answer | {"arguments": answer["arguments"] | change}) == said


def test_another_tool_is_misread(call) -> None:
    """Whatever its arguments."""
    assert TRIAL["misread"](call, {"tool": "send_message", "arguments": {}}) == "send_message instead of place_call"


def test_a_trial_is_written_for_a_reader_and_scored(tmp_path, capsys) -> None:
    """The reader gets the list and the requests, and not what is right."""
    TRIAL["main"]("write", str(tmp_path))
    for_reader = {file.name: file.read_text(encoding="utf-8") for file in tmp_path.iterdir()}
    assert set(for_reader) == {"list.json", "requests.txt"}
    assert len(for_reader["requests.txt"].splitlines()) == len(REQUESTS)
    answers = [right(one) for one in REQUESTS]
    answers[4] = {"tool": "list_agents", "arguments": {}}
    (tmp_path / "answers.json").write_text(TRIAL["json"].dumps(answers), encoding="utf-8")
    TRIAL["main"]("score", str(tmp_path / "answers.json"))
    assert capsys.readouterr().out.splitlines() == ["39 of 40 are right.", "5. list_agents instead of get_agent"]
