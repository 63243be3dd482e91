"""Our entry is added to a file and removed from it again while every other byte stays."""

import re

import pytest

from agentphone_mcp.commands.install.documents import BY_HAND, InvalidFile
from agentphone_mcp.commands.install.editing import find, install, parse, uninstall
from agentphone_mcp.commands.install.entries import HostEntry, Setup, build_entry, build_inputs
from agentphone_mcp.commands.install.hosts import HOSTS

JSON = """\
{
    // Ask Zoë before you change it.
    "theme": "One Dark",   /* odd   spacing */
    "TABLE": { // all of them
        "other": { "command": "node", "args": ["a",  "b",], },
    },
    "last": [1,2,
        3], // the end
}
"""
JSON_IN = """\
    "TABLE": { // all of them
        "agentphone": {
            ENTRY
        },
        "other": {\
"""
TOML = """\
# Ask Zoë before you change it.
model = "o9"   # odd   spacing

[mcp_servers.other]
command = 'node'
args = [ "a",
  "b" ] # both

# For work.
[profiles.work]
note = \"\"\"
[mcp_servers.agentphone]
\"\"\"
# the end
"""
YAML = """\
# Ask Zoë before you change it.
GOOSE_MODEL:   "o9"   # odd   spacing
extensions:
    # the first
    other:
        enabled: yes
        args: ['a',  "b"]
        note: >-
            folded
            text

# For work.
list:
- 1
-   2
# the end
"""
WRITTEN = {
    key: {"json": JSON.replace("TABLE", host.table[0]), "toml": TOML, "yaml": YAML}[host.format]
    for key, host in HOSTS.items()
}
EVERY = pytest.mark.parametrize("key", HOSTS)
ENDS = pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["unix", "windows"])


def put(key: str, text: str, setup: Setup | None = None) -> str:
    """Install the entry into a text."""
    setup = setup or Setup()
    return install(HOSTS[key], text, build_entry(HOSTS[key], setup), build_inputs(HOSTS[key], setup))


@EVERY
@ENDS
def test_what_people_wrote_stays_to_the_byte(key: str, end: str) -> None:
    text = WRITTEN[key].replace("\n", end)
    written = put(key, text)
    assert find(HOSTS[key], written) == build_entry(HOSTS[key], Setup())
    assert without_some_lines(written, text)
    assert written.replace("\r\n", "\n").count("\n") == written.count(end)
    assert uninstall(HOSTS[key], written, None) == text


def without_some_lines(longer: str, shorter: str) -> bool:
    """Tell whether the longer text is the shorter one with lines added."""
    lines = iter(longer.splitlines(keepends=True))
    return all(line in lines for line in shorter.splitlines(keepends=True))


@EVERY
def test_what_people_changed_afterwards_stays_too(key: str) -> None:
    changed = put(key, WRITTEN[key]).replace("Zoë", "Ann").replace("the end", "over")
    assert uninstall(HOSTS[key], changed, WRITTEN[key]) == WRITTEN[key].replace("Zoë", "Ann").replace("the end", "over")


@EVERY
@pytest.mark.parametrize("text", ["", "\n", "empty", "no-table"], ids=["nothing", "blank", "empty", "others"])
def test_a_table_that_was_made_for_us_goes_with_us(key: str, text: str) -> None:
    host = HOSTS[key]
    samples = {
        "json": {"empty": "{}", "no-table": '{\n\t"a": 1\n}'},
        "toml": {"empty": "# none", "no-table": "a = 1\n"},
        "yaml": {"empty": "# none\n", "no-table": "a: 1"},
    }
    text = samples[host.format].get(text, text)
    written = put(key, text)
    assert find(host, written) == build_entry(host, Setup())
    assert uninstall(host, written, text) == text


@EVERY
def test_a_file_that_was_made_for_us_is_not_kept(key: str) -> None:
    assert uninstall(HOSTS[key], put(key, ""), None) is None


@EVERY
def test_nothing_is_done_twice(key: str) -> None:
    written = put(key, WRITTEN[key])
    assert put(key, written) == written
    assert uninstall(HOSTS[key], WRITTEN[key], None) == WRITTEN[key]


@EVERY
def test_another_set_up_replaces_ours_where_it_stands(key: str) -> None:
    host, other = HOSTS[key], Setup(command="/opt/uvx", read_only=True, key="none")
    written = put(key, put(key, WRITTEN[key]), other)
    assert find(host, written) == build_entry(host, other)
    assert without_some_lines(written, WRITTEN[key])
    assert "AGENTPHONE_API_KEY" not in written
    assert "agentphone_api_key" not in written
    assert uninstall(host, written, None) == WRITTEN[key]


@pytest.mark.parametrize(
    ("key", "text"),
    [
        pytest.param("cursor", '{"mcpServers":{"x":{}}}', id="one-line"),
        pytest.param("cursor", '{ "mcpServers": { /* none */ } }', id="remark-alone"),
        pytest.param("cursor", '{\n  "mcpServers": {\n    // none\n  }\n}', id="remark-in-lines"),
        pytest.param("cursor", '{"mcpServers": {}, "a": 1}', id="empty-table"),
        pytest.param("cursor", '  {\n    "mcpServers": {}\n  }\n', id="all-indented"),
        pytest.param("codex", "mcp_servers = { x = { command = 'y' } } # inline\n", id="toml-inline"),
        pytest.param("codex", "mcp_servers.x.command = 'y' # dotted\n", id="toml-dotted"),
        pytest.param("codex", "[mcp_servers]\nx = { command = 'y' }", id="toml-no-last-newline"),
        pytest.param("codex", "[mcp_servers]\n\n[other]\na = 1\n", id="toml-empty-table"),
        pytest.param("goose", "extensions: {x: {enabled: true}} # flow\na: 1\n", id="yaml-flow"),
        pytest.param("goose", "---\nextensions:\n  x: {enabled: true}", id="yaml-no-last-newline"),
        pytest.param("goose", "a: 1\nextensions:\n# the end", id="yaml-remark-at-the-end"),
        pytest.param("goose", "extensions: {}\na: 1\n", id="yaml-empty-table"),
        pytest.param("goose", '"extensions":\n  x: &x {a: 1}\nother: *x\n', id="yaml-anchors"),
    ],
)
def test_it_comes_out_of_whatever_it_went_into(key: str, text: str) -> None:
    host = HOSTS[key]
    written = put(key, text)
    assert find(host, written) == build_entry(host, Setup())
    assert uninstall(host, put(key, written, Setup(command="/opt/uvx", read_only=True, key="none")), text) == text
    table = host.table[0]
    others = {name: value for name, value in parse(host, written)[table].items() if name != "agentphone"}
    assert others == (parse(host, text)[table] or {})
    assert uninstall(host, written, text) == text


@pytest.mark.parametrize(
    ("key", "text"),
    [
        pytest.param("goose", "{a: 1}\n", id="yaml-all-flow"),
        pytest.param("goose", "a: 1\n...\n", id="yaml-with-an-end"),
        pytest.param("codex", "mcp_servers = 1\n", id="toml-no-table"),
        pytest.param("cursor", '{"mcpServers": {"x": 0, "agentphone": 1, "agentphone": 2}}', id="json-twice"),
    ],
)
def test_what_cannot_be_changed_safely_is_not_changed(key: str, text: str) -> None:
    with pytest.raises(InvalidFile, match=f"{re.escape(BY_HAND)}|is no table of names"):
        uninstall(HOSTS[key], text, None) if "agentphone" in text else put(key, text)


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("codex", "a = 1\nb = = 2\n", "line 2, column 5: invalid value"),
        ("codex", 'a = "', "line 1"),
        ("goose", "a: 1\nb: [2\nc: 3\n", "line 3, column 2"),
        ("goose", "- a\n", "line 1, column 1: it is not a mapping of names"),
        ("goose", "a: 1\na: 2\n", "line 2, column 1"),
    ],
    ids=["toml", "toml-end", "yaml", "yaml-list", "yaml-twice"],
)
def test_a_broken_file_is_named_by_its_line(key: str, text: str, message: str) -> None:
    with pytest.raises(InvalidFile, match=message):
        put(key, text)


OTHERS = [{"id": "mine", "type": "promptString"}]


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        pytest.param('{\n  "inputs": [\n    {"id": "mine", "type": "promptString"} // mine\n  ]\n}', OTHERS, id="more"),
        pytest.param('{\n  "inputs": []\n}', [], id="none-yet"),
    ],
)
def test_what_vscode_asks_for_is_put_beside_what_others_ask(text: str, asked: list[HostEntry]) -> None:
    vscode = HOSTS["vscode"]
    written = put("vscode", text)
    assert parse(vscode, written)["inputs"] == [*build_inputs(vscode, Setup()), *asked]
    assert uninstall(vscode, written, text) == text
    assert parse(vscode, uninstall(vscode, f"{written}\n", text) or "") == {"inputs": asked}


def test_vscode_is_asked_on_if_another_server_wants_the_same() -> None:
    written = put("vscode", '{"servers": {"copy": {"env": {"K": "${input:agentphone_api_key}"}}}}')
    left = parse(HOSTS["vscode"], uninstall(HOSTS["vscode"], written, None) or "")
    assert [each["id"] for each in left["inputs"]] == ["agentphone_api_key"]


def test_json_is_written_as_its_neighbours_are() -> None:
    own = '"command": "uvx",\n            "args": [\n                "agentphone-mcp"\n            ]'
    expected = JSON.replace("TABLE", "context_servers").replace(
        JSON_IN.replace("TABLE", "context_servers").partition('        "agentphone"')[0],
        JSON_IN.replace("TABLE", "context_servers").replace("ENTRY", own).rpartition('        "other"')[0],
    )
    assert put("zed", WRITTEN["zed"]) == expected


def test_toml_is_a_section_at_the_end() -> None:
    assert put("codex", TOML) == (
        f'{TOML}\n[mcp_servers.agentphone]\ncommand = "uvx"\nargs = ["agentphone-mcp"]\n'
        'env_vars = ["AGENTPHONE_API_KEY"]\n'
    )


def test_yaml_is_indented_as_its_neighbours_are() -> None:
    own = """\
    agentphone:
      enabled: true
      name: AgentPhone
      type: stdio
      cmd: uvx
      args:
      - agentphone-mcp
      env_keys:
      - AGENTPHONE_API_KEY
      timeout: 300
"""
    assert put("goose", YAML) == YAML.replace("extensions:\n", f"extensions:\n{own}")
