"""Check that invalid bodies and queries are refused."""

import httpx
import pytest


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"{", id="cut-off"),
        pytest.param(b"[]", id="a-list"),
        pytest.param(b"null", id="null"),
        pytest.param(b'{"metadata": {"a": NaN}}', id="not-a-number"),
        pytest.param(b'{"metadata": {"a": "\xff"}}', id="not-utf8"),
        pytest.param(b'{"metadata": ' + b"[" * 100_000, id="bottomless"),
        pytest.param(b'{"metadata": {"a": ' + b"9" * 5_000 + b"}}", id="endless-number"),
    ],
)
async def test_a_malformed_body_is_refused(api: httpx.AsyncClient, content: bytes) -> None:
    answer = await api.patch("/v1/conversations/conv_past01", content=content)
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body"])
    assert (await api.get("/v1/conversations/conv_past01")).json()["metadata"] == {"topic": "appointment"}


@pytest.mark.parametrize("value", ["", "%20", "1.5", "1e3", "0x10", "٣", "9" * 30])
async def test_a_limit_is_plain_digits(api: httpx.AsyncClient, value: str) -> None:
    answer = await api.get("/v1/agents", params={"limit": value})
    assert answer.status_code == (200 if value == "" else 422)
