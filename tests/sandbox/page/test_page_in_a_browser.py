"""Check the web page in a headless Chromium, driven over its debugging pipe: no driver and no WebSocket needed."""

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from agentphone_mcp.sandbox import Sandbox, running
from agentphone_mcp.sandbox.http.faults import parse

fcntl = pytest.importorskip("fcntl", reason="the debugging pipe of Chromium is driven on POSIX only")

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PROGRAM = next(filter(None, map(shutil.which, NAMES)), None)
PATIENCE = 10


class Tab:
    """Drive one page, and collect its console messages and errors."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to_browser = to_browser
        self._from_browser = from_browser
        self._unread = b""
        self._ids = itertools.count(1)
        self._session: str | None = None
        self.complaints: list[str] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Send one command of the DevTools protocol and return its result."""
        number = next(self._ids)
        command: dict[str, Any] = {"id": number, "method": method, "params": params}
        if self._session:
            command["sessionId"] = self._session
        os.write(self._to_browser, json.dumps(command).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE
        while True:
            message = self._read(deadline)
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]
            self._note(message)

    def look(self, expression: str) -> Any:
        """Evaluate a JavaScript expression in the page."""
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait_for(self, expression: str) -> Any:
        """Wait until the expression is true, and return its value."""
        deadline = time.monotonic() + PATIENCE
        while not (value := self.look(expression)):
            assert time.monotonic() < deadline, f"never true: {expression}"
            self.look("new Promise((done) => setTimeout(done, 30))")
        return value

    def open(self, url: str) -> None:
        """Open a URL and wait until the sandbox's page shows its snapshot."""
        self.ask("Page.navigate", url=url)
        self.wait_for("document.querySelector('#state')?.textContent === 'live'")

    def resize(self, width: int, height: int) -> None:
        """Set the size of the window in pixels."""
        self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )

    def prefer(self, scheme: str) -> None:
        """Set the preferred colour scheme, `light` or `dark`."""
        self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def press(self, key: str, code: int) -> None:
        """Press and release a key."""
        text = {"text": "\r"} if key == "Enter" else {}
        self.ask("Input.dispatchKeyEvent", type="keyDown", key=key, code=key, windowsVirtualKeyCode=code, **text)
        self.ask("Input.dispatchKeyEvent", type="keyUp", key=key, code=key, windowsVirtualKeyCode=code)

    def picture(self, path: Path) -> None:
        """Save a screenshot as PNG."""
        path.write_bytes(base64.b64decode(self.ask("Page.captureScreenshot")["data"]))

    def _read(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._from_browser], [], [], max(0, deadline - time.monotonic()))
            assert ready, "the browser does not answer"
            chunk = os.read(self._from_browser, 65_536)
            assert chunk, "the browser is gone"
            self._unread += chunk
        message, _, self._unread = self._unread.partition(b"\0")
        return json.loads(message)

    def _note(self, message: dict[str, Any]) -> None:
        params = message.get("params", {})
        if message["method"] == "Runtime.exceptionThrown":
            self.complaints.append(str(params["exceptionDetails"]))
        elif message["method"] == "Log.entryAdded" and params["entry"]["level"] in ("warning", "error"):
            self.complaints.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
        elif message["method"] == "Runtime.consoleAPICalled":
            self.complaints.append(str(params["args"]))


@contextmanager
def browsing(program: str, profile: Path) -> Iterator[Tab]:
    """Run a browser with one tab until the block is left."""
    theirs_in, to_browser = os.pipe()
    from_browser, theirs_out = os.pipe()
    # Expected at descriptors 3 and 4, where only a shell can put them; high ones, so that none is overwritten.
    high = [fcntl.fcntl(one, fcntl.F_DUPFD, 50) for one in (theirs_in, theirs_out)]
    shell = 'exec 3<&"$1" 4>&"$2"; shift 2; exec "$@"'
    flags = [
        "--headless",
        "--remote-debugging-pipe",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--no-proxy-server",
        f"--user-data-dir={profile}",
    ]
    process = subprocess.Popen(
        ["/bin/bash", "-c", shell, "sh", *map(str, high), program, *flags],
        pass_fds=high,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for one in (theirs_in, theirs_out, *high):
        os.close(one)
    try:
        yield Tab(to_browser, from_browser)
    finally:
        # A closed pipe ends this browser.
        os.close(to_browser)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(from_browser)


pytestmark = pytest.mark.skipif(PROGRAM is None, reason=f"no Chromium found under any of {', '.join(NAMES)}")
HOSTILE = """<img src=x onerror="document.title='pwned'"><script>document.title='pwned'</script>"""
RUNNING = "document.querySelectorAll('#calls-list details')[0].innerText"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """Share one browser, which takes a second to start."""
    with browsing(str(PROGRAM), tmp_path_factory.mktemp("profile")) as tab:
        yield tab


@pytest.fixture
def tab(browser: Tab, served: Sandbox) -> Iterator[Tab]:
    """Give a tab that shows the sandbox, and check that it had no errors."""
    browser.resize(1400, 900)
    browser.open(served.url)
    yield browser
    assert browser.complaints == []


async def test_a_call_shows_with_its_turns_as_they_are_spoken(tab: Tab, http: httpx.AsyncClient) -> None:
    await http.post("/v1/calls", json={"agentId": "agt_frontdesk", "toNumber": "+14155550104"})
    tab.wait_for(f"{RUNNING}.includes('completed') && {RUNNING}.includes('I am not interested')")
    assert tab.look("document.querySelector('#requests-list').innerText").split()[1:] == [
        "POST",
        "/v1/calls",
        "201",
    ]
    assert tab.wait_for("document.querySelector('#balance').textContent !== '$5.00'")
    assert "not interested" in tab.wait_for("document.querySelector('#said').textContent")


async def test_a_dropped_request_shows_as_such(tab: Tab, http: httpx.AsyncClient, served: Sandbox) -> None:
    served.faults.rules.append(parse("POST /v1/contacts drop-before"))
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        await http.post("/v1/contacts", json={})
    message = "document.querySelector('#requests-list').innerText"
    tab.wait_for(f"{message}.includes('/v1/contacts')")
    assert tab.look(message).split()[-1] == "dropped"


async def test_hostile_words_stay_words(tab: Tab, http: httpx.AsyncClient) -> None:
    await http.patch("/v1/agents/agt_frontdesk", json={"name": HOSTILE})
    wanted = {"agentId": "agt_frontdesk", "toNumber": "+14155550104", "initialGreeting": HOSTILE}
    await http.post("/v1/calls", json=wanted)
    await http.post("/v1/messages", json={"agent_id": "agt_frontdesk", "to_number": "+14155550177", "body": HOSTILE})
    await http.get(f"/v1/calls/{HOSTILE}")
    tab.wait_for(f"{RUNNING}.includes('completed')")
    for place in ("calls-list", "conversations-list", "agents"):
        tab.wait_for(f"document.querySelector('#{place}').innerText.includes('<img src=x onerror=')")
    # Again as a snapshot.
    tab.ask("Page.reload")
    tab.wait_for(f"document.querySelector('#state')?.textContent === 'live' && {RUNNING}.includes('<img src=x')")
    assert tab.look("document.querySelectorAll('main img, main script').length") == 0
    assert tab.look("document.title") == "AgentPhone sandbox"


def test_the_keyboard_reaches_everything(tab: Tab) -> None:
    tab.press("Tab", 9)
    assert tab.look("document.activeElement.className") == "skip"
    tab.wait_for("document.activeElement.getBoundingClientRect().left >= 0")
    for _ in range(20):
        tab.press("Tab", 9)
        if tab.look("document.activeElement.tagName") == "SUMMARY":
            break
    assert tab.look("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    was_open = tab.look("document.activeElement.parentNode.open")
    tab.press("Enter", 13)
    assert tab.wait_for(f"document.activeElement.parentNode.open === {json.dumps(not was_open)}")


def test_a_screen_reader_finds_its_way(tab: Tab) -> None:
    for landmark in ("header", "nav[aria-label]", "main", "[role=log][aria-live=polite]", "html[lang]"):
        assert tab.look(f"document.querySelectorAll('{landmark}').length") == 1
    assert tab.look(
        "[...document.querySelectorAll('section')].every("
        "(one) => document.getElementById(one.getAttribute('aria-labelledby')).matches('h2'))"
    )
    assert tab.look("[...document.querySelectorAll('th')].every(th => th.scope === 'col')")


@pytest.mark.parametrize("width", [360, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_is_legible(tab: Tab, width: int, scheme: str) -> None:
    tab.prefer(scheme)
    tab.resize(width, 800)
    assert tab.look("document.documentElement.scrollWidth") <= width
    assert tab.look(PALEST) >= 4.5


def test_it_reconnects_to_a_sandbox_that_starts_again(tab: Tab, served: Sandbox) -> None:
    port = int(served.url.rpartition(":")[2])
    with running() as other:
        tab.open(other.url)
        port = int(other.url.rpartition(":")[2])
    tab.wait_for("document.querySelector('#state').textContent === 'reconnecting'")
    with running(port=port) as again:
        again.context.account.agents["agt_frontdesk"].settings["name"] = "Night Desk"
        tab.wait_for("document.querySelector('#agents').innerText.includes('Night Desk')")
        tab.wait_for("document.querySelector('#state').textContent === 'live'")
        tab.complaints.clear()  # that the connection failed is written to the console, rightly
        tab.ask("Page.navigate", url="about:blank")


PALEST = """(() => {
  const rgb = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const colour = rgb(getComputedStyle(e).backgroundColor);
      if (colour.length < 4 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const contrast = (e) => {
    const both = [light(rgb(getComputedStyle(e).color)), light(behind(e))].sort((a, b) => b - a);
    return (both[0] + 0.05) / (both[1] + 0.05);
  };
  const texts = [...document.querySelectorAll('body *')].filter((e) =>
    [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()));
  return Math.min(...texts.map(contrast));
})()"""
