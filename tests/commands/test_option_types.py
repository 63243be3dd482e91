"""Variables that are there without a value, as a host's form leaves them."""

from typing import Any

import click
import pytest

from agentphone_mcp.commands.main import main
from agentphone_mcp.config.environment import read_key

BLANKS = pytest.mark.parametrize(
    "blank", ["", " \t", "${user_config.whatever}"], ids=["empty", "spaces", "unfilled-field"]
)


def settings() -> dict[str, Any]:
    """What the command is told by its environment alone."""
    return main.make_context("agentphone-mcp", []).params


def variables() -> list[str]:
    """All that options are read from."""
    return [option.envvar for option in main.params if isinstance(option, click.Option) and option.envvar]


@BLANKS
def test_a_variable_without_a_value_is_as_good_as_none(blank: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle sets all the variables that its form has fields for."""
    for variable in variables():
        monkeypatch.delenv(variable, raising=False)
    wanted = settings()
    for variable in variables():
        monkeypatch.setenv(variable, blank)
    assert len(variables()) > 20
    assert settings() == wanted


@BLANKS
def test_a_key_that_was_not_filled_in_is_none(blank: str) -> None:
    """The server starts, and says at the first call what to do."""
    assert read_key({"AGENTPHONE_API_KEY": blank, "AGENTPHONE_API_KEY_FILE": blank}) is None


@pytest.mark.parametrize("written", ["${env:READ_ONLY}", "$READ_ONLY"], ids=["reference", "shell"])
def test_a_switch_that_was_meant_is_not_passed_over(written: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever wrote a reference that leads nowhere wanted something, and is told so."""
    monkeypatch.setenv("AGENTPHONE_READ_ONLY", written)
    with pytest.raises(click.BadParameter, match="READ_ONLY"):
        settings()
