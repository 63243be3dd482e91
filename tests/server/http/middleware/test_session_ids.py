"""Keep the ids of sessions out of the log: whoever reads it could use them."""

import logging

import httpx
import pytest

from agentphone_mcp.config.http import HttpSettings
from tests.server.http.middleware.requests import (
    ACCEPT,
    ALICE,
    BOB,
    LIST,
    bearer_headers,
    edit_tokens,
    open_session,
    web,
)

pytestmark = pytest.mark.attack("18", "the log tells the ids of others' sessions")


async def test_somebody_elses_session_is_refused_without_its_id_in_the_log(
    hosting, tokens: HttpSettings, caplog: pytest.LogCaptureFixture
) -> None:
    edit_tokens(tokens, '"read"', '"spend"')
    with caplog.at_level(logging.DEBUG):
        async with hosting(tokens) as url, web() as http:
            session = (await open_session(http, url, ALICE)).headers["Mcp-Session-Id"]
            theirs = ACCEPT | bearer_headers(BOB) | {"Mcp-Session-Id": session}
            assert (await http.post(f"{url}/mcp", json=LIST, headers=theirs)).status_code == 404
    ours = ("mcp.", "agentphone_mcp", "uvicorn", "sse_starlette")
    lines = [record.getMessage() for record in caplog.records if record.name.startswith(ours)]
    assert any("credential does not match" in line for line in lines)
    assert not any(session in line for line in lines)


@pytest.mark.parametrize("given", ["a\r\nb" * 9, "0" * 32, "../../x", "00000000-0000-4000-8000-000000000000"])
async def test_what_a_client_sends_as_an_id_is_not_logged_over_sse(
    hosting, given: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        async with hosting(HttpSettings(transport="sse")) as url, httpx.AsyncClient(trust_env=False) as http:
            answer = await http.post(f"{url}/messages/", params={"session_id": given}, json=LIST)
            assert answer.status_code in (400, 404)
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("mcp.server")]
    assert not any(given in line or "\n" in line for line in ours)
