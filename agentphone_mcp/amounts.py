"""Numbers as options of the command."""

import math
from typing import Any

import click


class Amount(click.FloatRange):
    """A number within bounds, which what is no number is not."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it, and refuse `nan`, which compares with nothing."""
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is no number", param, ctx)
        return number
