"""Measure what the server costs beside bare floors in the same run: `python tests/benchmarks`.

Both sides of every ratio are measured turn and turn about, so that a busy machine slows both. Nothing but loopback is
asked, and every process that is started is ended. Without `--save`, ratios are compared with those of the run that the
repository keeps. The other scripts in this folder measure one thing more closely, each alone.
"""

import argparse
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import calling
import context
import following
import hosting
import kept
import starting
from figures import Figure, Odd
from rich.console import Console
from table import show

MEASURES: dict[str, Callable[[bool], Iterable[Figure]]] = {
    "start": starting.over_stdio,
    "http-start": starting.over_http,
    "memory": calling.memories,
    "calls": calling.calls,
    "stdio": calling.over_stdio,
    "overview": calling.overview,
    "hosting": hosting.measure,
    "following": following.measure,
    "bytes": context.listed,
    "results": context.results,
}
"""Each is told whether a few samples are enough."""


def main() -> int:
    """Measure what was asked for; the exit code is 1 if something could not be measured or written."""
    given = asked()
    # However it is told to stop, it ends what it started; a shell has its background jobs ignore the one of Ctrl+C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # an old code page lacks some of the characters
    # A file has no width of its own.
    console, aside = Console(width=None if sys.stdout.isatty() else 130), Console(stderr=True)
    try:
        before = kept.read(given.against)
        figures, failed = measured(given.only or list(MEASURES), given.quick, aside)
        show(console, figures, before)
        if given.json:
            given.json.write_text(kept.as_json(figures), encoding="utf-8")
        if given.save and not failed:
            kept.LATEST.write_text(kept.as_json(figures), encoding="utf-8")
            text = kept.PAGE.read_text(encoding="utf-8")
            kept.PAGE.write_text(kept.in_page(text, kept.read()), encoding="utf-8")
            console.print("Kept, in latest.json and PERFORMANCE.md.")
    except (Odd, OSError) as exc:
        aside.print(f"{exc}.", style="red", markup=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        aside.print("Broken off; nothing is kept.")
        return 130
    if failed and given.save:
        aside.print("Nothing is kept, as not everything could be measured.", style="red", soft_wrap=True)
    return 1 if failed else 0


def asked() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python tests/benchmarks", description=__doc__.partition(":")[0] + ".")
    names = ", ".join(MEASURES)
    parser.add_argument("--only", nargs="+", metavar="NAME", help=f"only these of {names}")
    parser.add_argument("--quick", action="store_true", help="take few samples: to see that it runs, not how fast")
    parser.add_argument(
        "--against", type=Path, metavar="FILE", default=kept.LATEST, help="compare with this run, not with the kept one"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures of this run into a file")
    parser.add_argument("--save", action="store_true", help="keep this run in the repository and PERFORMANCE.md")
    given = parser.parse_args()
    unknown = [name for name in given.only or [] if name not in MEASURES]
    if unknown:
        parser.error(f"there is no measure {unknown[0]!r}; there are {names}")
    if given.json and not given.json.parent.is_dir():
        parser.error(f"there is no folder {given.json.parent} to write {given.json.name} into")
    if given.save and (given.only or given.quick):
        parser.error("only a whole run is kept: leave out --only and --quick, or --save")
    return given


def measured(names: Iterable[str], quick: bool, aside: Console) -> tuple[list[Figure], list[str]]:
    """Take some measures; return their figures and the names of those that failed, and print why."""
    figures: list[Figure] = []
    failed: list[str] = []
    for name in names:
        try:
            with aside.status(f"measuring {name}"):
                figures += MEASURES[name](quick)
        except Exception as exc:  # noqa: BLE001 - what else can be measured is worth having, whatever this was
            aside.print(f"{name} could not be measured: {_reason(exc)}", style="red", markup=False, soft_wrap=True)
            failed.append(name)
    return figures, failed


def _reason(wrong: Exception) -> str:
    """Describe the first cause of a failure."""
    while isinstance(wrong, ExceptionGroup):
        wrong = wrong.exceptions[0]
    return str(wrong) or type(wrong).__name__


if __name__ == "__main__":
    sys.exit(main())
