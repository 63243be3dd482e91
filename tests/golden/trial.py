"""Tries the tool list on a fresh reader, who sees nothing else: `python tests/golden/trial.py write FOLDER`.

It writes list.json (the instructions and the tools, as a host gives them to a model) and requests.txt. The reader
answers each request with the one tool that they would call first, as a JSON list of `{"tool": …, "arguments": {…}}` in
the order of the requests; `python tests/golden/trial.py score ANSWERS` says how many are right and what was misread.
requests.json has what is right: of the arguments it names, null must be left out, and a text after ~ be part of one.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

REQUESTS = Path(__file__).with_name("requests.json")


def requests() -> list[dict[str, Any]]:
    """The requests, each with the tool and the arguments that are right."""
    return json.loads(REQUESTS.read_text(encoding="utf-8"))


def context() -> dict[str, Any]:
    """What a host puts into its model's context."""
    from agentphone_mcp.config.config import Config
    from agentphone_mcp.server.server import create_server

    server = create_server(Config())
    tools = asyncio.run(server.list_tools())
    told = [{"name": one.name, "description": one.description, "inputSchema": one.input_schema} for one in tools]
    return {"instructions": server.instructions, "tools": told}


def misread(wanted: dict[str, Any], answer: dict[str, Any]) -> str | None:
    """What is wrong with an answer; None if it is right.

    Arguments are compared as the tool takes them, so that a phone number may be written in any way.
    """
    from agentphone_mcp.features.tools.catalog import CATALOG

    if answer["tool"] != wanted["tool"]:
        return f"{answer['tool']} instead of {wanted['tool']}"
    taken_by = {one.name: one.tool.fn_metadata for tools in CATALOG.values() for one in tools}[wanted["tool"]]
    try:
        given = taken_by.validate_arguments(answer["arguments"])
    except ValidationError as refused:
        return f"{wanted['tool']} refuses its arguments: {refused.errors()[0]['loc']}"
    wrong = [name for name, value in wanted["arguments"].items() if not _is_meant(value, given[name])]
    return f"{wanted['tool']} with wrong {', '.join(wrong)}" if wrong else None


def _is_meant(wanted: Any, given: Any) -> bool:
    if isinstance(given, BaseModel):
        return given.model_dump(exclude_none=True) == wanted
    if isinstance(wanted, str) and wanted.startswith("~"):
        return wanted[1:].casefold() in str(given).casefold()
    return given == wanted


def main(command: str, place: str) -> None:
    """Write the trial's files to a folder, or score a file of answers."""
    if command == "write":
        folder = Path(place)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "list.json").write_text(json.dumps(context(), ensure_ascii=False, indent=1), encoding="utf-8")
        numbered = [f"{number}. {one['request']}\n" for number, one in enumerate(requests(), start=1)]
        (folder / "requests.txt").write_text("".join(numbered), encoding="utf-8")
        return
    answers = json.loads(Path(place).read_text(encoding="utf-8"))
    pairs = zip(requests(), answers, strict=True)
    wrong = {number: said for number, pair in enumerate(pairs, start=1) if (said := misread(*pair))}
    said = [f"{len(answers) - len(wrong)} of {len(answers)} are right.", *(f"{n}. {wrong[n]}" for n in wrong), ""]
    sys.stdout.write("\n".join(said))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    main(*sys.argv[1:])
