"""Make click options of the settings (flag, then environment, then default), and define the numbers they take."""

import math
import os
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any, TypeVar

import click

from agentphone_mcp.config.environment import is_left_open
from agentphone_mcp.config.from_options import SETTINGS
from agentphone_mcp.config.settings import Setting

Command = TypeVar("Command", bound=Callable[..., Any])
HELP_NAMES = {"help_option_names": ["-h", "--help"]}
"""The context settings of every command, as click keeps its help option from the first time that it is invoked."""


class Amount(click.FloatRange):
    """Take a number within bounds."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it, and refuse `nan`, which compares with nothing."""
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is no number", param, ctx)
        return number


class Count(click.IntRange):
    """Take a whole number within bounds."""

    name = "whole number"


PORT = Count(0, 65_535)
"""A port to listen at; 0 takes any that is free."""


class EnvOption(click.Option):
    """Ignore a variable without a value, as hosts set it for a field of their form that is empty."""

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        """Read the variable; None if it says nothing."""
        value = super().resolve_envvar_value(ctx)
        return None if value is None or is_left_open(value) else value


def absolute_path(_ctx: click.Context, _option: click.Parameter, path: Path | None) -> Path | None:
    """Expand `~`, which a shell leaves alone after `=` and in variables, and make a path absolute, as hosts need it."""
    return path and Path(os.path.abspath(os.path.expanduser(path)))


def setting_option(name: str) -> Callable[[Command], Command]:
    """Give a command the option of one setting of serving."""
    return _option(next(setting for setting in SETTINGS if setting.name == name))


def serving_options(command: Command) -> Command:
    """Give a command every option of serving, in the order of `SETTINGS`."""
    return reduce(lambda decorated, setting: _option(setting)(decorated), reversed(SETTINGS), command)


def _option(setting: Setting) -> Callable[[Command], Command]:
    return click.option(
        setting.flag,
        cls=EnvOption,
        type=_type(setting),
        is_flag=setting.default is False,
        default=setting.default,
        envvar=setting.variable,
        show_envvar=True,
        help=setting.help,
    )


def _type(setting: Setting) -> Any:
    if setting.choices:
        return click.Choice(setting.choices, case_sensitive=not setting.ignores_case)
    if setting.bounds:
        number: Any = Amount if isinstance(setting.default, float) else Count
        return number(*setting.bounds)
    return None
