"""Define the numbers that options take, and options whose variables may be left without a value."""

import math
import os
from pathlib import Path
from typing import Any

import click

from agentphone_mcp.config.environment import is_left_open


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
