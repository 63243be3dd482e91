"""Where things are in a YAML text: what ruamel.yaml knows of it, without its types, which it does not declare."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from agentphone_mcp.commands.install.documents import Document, InvalidFile
from agentphone_mcp.commands.install.entries import HostEntry

_NEVER_FOLDED = 1_000_000


@dataclass(frozen=True)
class Node:
    """A value by its places in the text.

    Attributes:
        start: where it begins.
        end: where its last word ends; the parser itself would say where the next node begins.
        column: how far its names are from the left, if it is a mapping.
        members: its names and values; None if it is no mapping.
        is_flow: whether it is in brackets or braces.
    """

    start: int
    end: int
    column: int
    members: "list[tuple[Name, Node]] | None"
    is_flow: bool


@dataclass(frozen=True)
class Name:
    """What a member is called, and where."""

    text: str
    start: int
    end: int


def load(text: str) -> Document:
    """Read a document; an empty one is no mistake.

    Raises:
        InvalidFile: with line and column, if it is none.
    """
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        document: object = _yaml().load(text)
    except MarkedYAMLError as exc:
        wrong: Any = exc
        why = str(wrong.problem or "it is not YAML").splitlines()[0]
        mark = wrong.problem_mark
        raise (InvalidFile.at(mark.line + 1, mark.column + 1, why) if mark else InvalidFile(why)) from None
    except (YAMLError, ValueError, RecursionError):
        raise InvalidFile("it is not YAML") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise InvalidFile.at(1, 1, "it is not a mapping of names")
    return cast("Document", document)


def root_of(text: str) -> Node | None:
    """The whole of a text that `load` accepts; None if it is empty."""
    found = _yaml().compose(text)
    return _node(found) if found is not None else None


def dump(value: HostEntry) -> str:
    """Write a value in lines, as Goose does."""
    yaml = _yaml()
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False
    yaml.width = _NEVER_FOLDED
    yaml.indent(mapping=2, sequence=2, offset=0)
    written = io.StringIO()
    yaml.dump(value, written)
    return written.getvalue()


def _yaml() -> Any:
    from ruamel.yaml import YAML

    return YAML(typ="safe", pure=True)


def _node(found: Any) -> Node:
    from ruamel.yaml.nodes import MappingNode

    is_flow = bool(getattr(found, "flow_style", False))
    end = max(_ends(found), default=found.start_mark.index)
    if not isinstance(found, MappingNode):
        return Node(found.start_mark.index, end, 0, None, is_flow)
    pairs: list[tuple[Any, Any]] = cast("Any", found).value
    members = [(Name(str(k.value), k.start_mark.index, k.end_mark.index), _node(value)) for k, value in pairs]
    column = pairs[0][0].start_mark.column if pairs else 0
    return Node(cast("Any", found).start_mark.index, end, column, members, is_flow)


def _ends(found: Any) -> Iterator[int]:
    from ruamel.yaml.nodes import ScalarNode

    if isinstance(found, ScalarNode) or found.flow_style:
        yield cast("Any", found).end_mark.index
        return
    for child in found.value:
        for each in cast("tuple[Any, ...]", child if isinstance(child, tuple) else (child,)):
            yield from _ends(each)
