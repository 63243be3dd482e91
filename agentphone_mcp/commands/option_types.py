"""Numbers that options take, and the words for what is none."""

import math
from functools import partial
from typing import Any

import click

from agentphone_mcp.config.environment import is_left_open


class Amount(click.FloatRange):
    """A number within bounds; refuses nan."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it, and refuse `nan`, which compares with nothing."""
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is no number", param, ctx)
        return number


class Count(click.IntRange):
    """A whole number within bounds."""

    name = "whole number"


PORT = Count(0, 65_535)
"""A port to listen at; 0 takes any that is free."""


class Setting(click.Option):
    """An option whose variable may be there without a value, as hosts leave what their form was not told."""

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        """Read the variable; None if it says nothing."""
        value = super().resolve_envvar_value(ctx)
        return None if value is None or is_left_open(value) else value


setting = partial(click.option, cls=Setting, show_envvar=True)
"""As `click.option`, for a `Setting`."""
