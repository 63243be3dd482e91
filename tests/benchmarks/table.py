"""Print a run as tables in the terminal."""

from collections.abc import Mapping, Sequence

from figures import Figure
from rich import box
from rich.console import Console
from rich.table import Table

Kept = Mapping[tuple[str, str], Figure]
_STYLES = {True: "green", False: "red", None: ""}


def show(console: Console, figures: Sequence[Figure], kept: Kept) -> None:
    """Print all figures with their floors, ratios and budgets, and what changed since the run that is kept."""
    for columns in (_beside_floors(figures, kept), _by_tool(figures, kept)):
        if columns.row_count:
            console.print(columns)
    over = [f"{figure.measure}: {figure.name}" for figure in figures if figure.holds is False]
    if over:
        console.print(f"Over budget: {', '.join(over)}.", style="red")


def _beside_floors(figures: Sequence[Figure], kept: Kept) -> Table:
    table = _table("measure", "", "ours>", "floor>", "beside", "ratio>", "since>", "budget")
    last = ""
    for figure in figures:
        if figure.is_of_tool:
            continue
        if last and figure.measure != last:
            table.add_section()
        table.add_row(
            figure.measure if figure.measure != last else "",
            figure.name,
            figure.in_words(figure.value),
            figure.in_words(figure.floor),
            figure.beside,
            f"{figure.ratio:.2f}" if figure.ratio is not None else "",
            since(figure, kept),
            _marked(figure),
        )
        last = figure.measure
    return table


def _by_tool(figures: Sequence[Figure], kept: Kept) -> Table:
    """Tabulate each tool's bytes of context, and its typical result beside its floor."""
    table = _table("tool", "listed, bytes>", "since>", "budget", "result, bytes>", "floor>", "since>")
    rows: dict[str, dict[str, Figure]] = {}
    for figure in figures:
        if figure.is_of_tool:
            rows.setdefault(figure.name, {})[figure.measure] = figure
    for name, row in rows.items():
        listed, result = row.get("bytes"), row.get("results")
        cells = [f"{listed.value:,.0f}", since(listed, kept), _marked(listed)] if listed else ["", "", ""]
        floor = f"{result.floor:,.0f}" if result and result.floor else ""
        cells += [f"{result.value:,.0f}", floor, since(result, kept)] if result else ["", "", ""]
        table.add_row(name, *cells)
    return table


def _table(*columns: str) -> Table:
    """Make a table; columns marked `>` are right-aligned numbers."""
    table = Table(box=box.SIMPLE, pad_edge=False)
    for name in columns:
        table.add_column(
            name.removesuffix(">"), justify="right" if name.endswith(">") else "left", no_wrap=name.endswith(">")
        )
    return table


def since(figure: Figure, kept: Kept) -> str:
    """Format the change of a ratio, or of a value without floor, since the kept run."""
    before = kept.get((figure.measure, figure.name))
    if before is None:
        return "new" if kept else ""
    now, then = (figure.ratio, before.ratio) if figure.ratio and before.ratio else (figure.value, before.value)
    return f"{now / then - 1:+.0%}" if then else ""


def _marked(figure: Figure) -> str:
    style = _STYLES[figure.holds]
    return f"[{style}]{figure.promise}[/]" if style else ""
