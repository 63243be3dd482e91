"""Check the web page in a headless Chromium, driven over its debugging pipe: no driver and no WebSocket needed."""

import json
from collections.abc import Iterator

import httpx
import pytest

from agentphone_mcp.sandbox import Sandbox, running
from agentphone_mcp.sandbox.http.faults import parse
from tests.browser import NAMES, PROGRAM, Tab, browsing

pytest.importorskip("fcntl", reason="the debugging pipe of Chromium is driven on POSIX only")

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
    browser.open(served.page_url)
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
    key = "sk_sandbox_kept_over_restarts"
    with running(key=key) as other:
        tab.open(other.page_url)
        port = int(other.url.rpartition(":")[2])
    tab.wait_for("document.querySelector('#state').textContent === 'reconnecting'")
    with running(port=port, key=key) as again:
        again.context.account.agents["agt_frontdesk"].settings["name"] = "Night Desk"
        tab.wait_for("document.querySelector('#agents').innerText.includes('Night Desk')")
        tab.wait_for("document.querySelector('#state').textContent === 'live'")
        tab.complaints.clear()  # that the connection failed is written to the console, rightly
        tab.ask("Page.navigate", url="about:blank")


@pytest.mark.attack("19", "another user of the machine looks at the sandbox's page")
def test_the_page_says_what_it_needs_without_the_token_of_its_link(tab: Tab, served: Sandbox) -> None:
    state = "(document.querySelector('#state')?.textContent ?? '')"
    with running() as other:
        tab.ask("Page.navigate", url=other.url)
        tab.wait_for(f"{state}.startsWith('open the link')")
        tab.ask("Page.navigate", url=f"{other.url}/?again#token={'0' * 32}")
        tab.wait_for(f"{state}.startsWith('open the link')")
        assert "Front Desk" not in tab.look("document.body.innerText")
        tab.complaints.clear()  # that a request was refused is written to the console, rightly
        tab.open(other.page_url.replace("/#", "/?again#"))
        assert "token" not in tab.look("location.href")
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
