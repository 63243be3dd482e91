"""Hold figures beside their floors, in samples that two sides take in turn."""

import statistics
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Literal, TypeVar

Took = TypeVar("Took")


class Odd(Exception):
    """Raised when the measured program misbehaves; the message is one sentence."""


@dataclass(frozen=True)
class Budget:
    """Bound a figure: its value, its ratio to the floor, or its difference from the floor."""

    of: Literal["value", "ratio", "more"]
    bound: float
    is_least: bool = False


@dataclass(frozen=True)
class Figure:
    """Hold one measured value.

    Attributes:
        measure: which of the command's measures it belongs to.
        name: what it is, unique in its measure.
        unit: `ms`, `MiB`, `bytes` or `calls/s`.
        value: ours; of several samples the median, unless the name says otherwise.
        floor: what the least that could do the same took in the same run; None where there is no such thing.
        beside: what that is.
        ratio: ours to the floor; of pairs of samples the median, so that what slows both down does not count.
        budget: what it may be; None where there is no aim.
        is_of_tool: whether the name is that of one of our tools.
    """

    measure: str
    name: str
    unit: str
    value: float
    floor: float | None = None
    beside: str = ""
    ratio: float | None = None
    budget: Budget | None = None
    is_of_tool: bool = False

    @property
    def holds(self) -> bool | None:
        """Tell whether it keeps its budget; None if it has none."""
        if self.budget is None:
            return None
        more = None if self.floor is None else self.value - self.floor
        found = {"value": self.value, "ratio": self.ratio, "more": more}[self.budget.of]
        if found is None:
            raise ValueError(f"{self.name} has a budget beside a floor, and no floor")
        return found >= self.budget.bound if self.budget.is_least else found <= self.budget.bound

    @property
    def promise(self) -> str:
        """Describe the budget."""
        if self.budget is None:
            return ""
        least_or_most = "at least" if self.budget.is_least else "at most"
        if self.budget.of == "ratio":
            return f"{least_or_most} {self.budget.bound:.2f} ×"
        # A bound is a round number, however exactly it is measured.
        return f"{least_or_most} {self.budget.bound:,g} {self.unit}{' more' if self.budget.of == 'more' else ''}"

    def in_words(self, amount: float | None) -> str:
        """Format an amount with this figure's unit; empty for None."""
        if amount is None:
            return ""
        digits = 0 if amount >= 100 or self.unit == "bytes" else 1 if amount >= 10 else 2
        return f"{amount:,.{digits}f} {self.unit}"


def paired(
    measure: str,
    name: str,
    unit: str,
    ours: Sequence[float],
    floors: Sequence[float],
    beside: str,
    budget: Budget | None = None,
) -> Figure:
    """Make a figure of samples taken in pairs: ours and the floor's."""
    ratio = statistics.median(one / other for one, other in zip(ours, floors, strict=True))
    return Figure(measure, name, unit, statistics.median(ours), statistics.median(floors), beside, ratio, budget)


def turns(sides: Iterable[str], rounds: int, *, warm: int = 0) -> Generator[tuple[str, bool]]:
    """Yield whose turn it is and whether it counts; each side has one turn a round.

    Whoever comes first in a round comes last in the next: a machine may get slower meanwhile.

    Args:
        sides: their names.
        rounds: how many rounds count.
        warm: how many do not, and come first: connections open and caches fill.
    """
    names = list(sides)
    for number in range(-warm, rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            yield name, number >= 0


def turn_about(sides: Mapping[str, Callable[[], Took]], rounds: int, *, warm: int = 0) -> dict[str, list[Took]]:
    """Run all sides in turn and collect what they return."""
    found: dict[str, list[Took]] = {name: [] for name in sides}
    for name, counts in turns(sides, rounds, warm=warm):
        took = sides[name]()
        if counts:
            found[name].append(took)
    return found


def timed(action: Callable[[], object]) -> Callable[[], float]:
    """Wrap a function so that it returns its milliseconds."""

    def timed() -> float:
        started = perf_counter()
        action()
        return (perf_counter() - started) * 1000

    return timed


async def turn_about_in_loop(
    sides: Mapping[str, Callable[[], Awaitable[object]]], rounds: int, *, warm: int
) -> dict[str, list[float]]:
    """Run all sides in turn in one event loop and collect the milliseconds of each."""
    took: dict[str, list[float]] = {name: [] for name in sides}
    for name, counts in turns(sides, rounds, warm=warm):
        started = perf_counter()
        await sides[name]()
        if counts:
            took[name].append((perf_counter() - started) * 1000)
    return took


def p95(samples: Sequence[float]) -> float:
    """Return the 95th percentile."""
    return statistics.quantiles(samples, n=20, method="inclusive")[-1]
