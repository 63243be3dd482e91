"""Numbers that options take, and the words for what is none."""

import math
from typing import Any

import click


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
