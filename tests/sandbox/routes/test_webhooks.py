"""Check the webhooks of the project and of agents."""

from typing import Any

import httpx
import pytest

from agentphone_mcp.sandbox import running
from tests.sandbox.calling import SetHook
from tests.sandbox.clients import over_http

PATHS = pytest.mark.parametrize(
    "path", [pytest.param("/v1/webhooks", id="project"), pytest.param("/v1/agents/agt_orderline/webhook", id="agent")]
)


@PATHS
async def test_a_webhook_has_a_new_secret_each_time_it_is_set(api: httpx.AsyncClient, path: str) -> None:
    assert (await api.get(path)).json() is None
    first = (await api.post(path, json={"url": "https://example.com/one"})).json()
    second = (await api.post(path, json={"url": "https://example.com/two", "contextLimit": 0, "timeout": 5})).json()
    assert first["secret"].startswith("whsec_")
    assert second["secret"] != first["secret"]
    assert (first["contextLimit"], first["timeout"], first["status"]) == (10, 30, "active")
    assert (second["contextLimit"], second["timeout"]) == (0, 5)
    assert (await api.get(path)).json() == second


@PATHS
async def test_a_deleted_webhook_is_gone(api: httpx.AsyncClient, path: str) -> None:
    await api.post(path, json={"url": "https://example.com/one"})
    assert (await api.delete(path)).json()["success"] is True
    assert (await api.get(path)).json() is None
    assert (await api.delete(path)).status_code == 404
    assert (await api.post(f"{path}/test")).status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        pytest.param({}, "url", id="no-url"),
        pytest.param({"url": "http://example.com/hook"}, "url", id="plain-http"),
        pytest.param({"url": "https://10.0.0.1/hook"}, "url", id="private-address"),
        pytest.param({"url": "https://169.254.169.254/latest"}, "url", id="metadata-service"),
        pytest.param({"url": "https://printer.local/hook"}, "url", id="local-name"),
        pytest.param({"url": "http://127.0.0.1@example.com/"}, "url", id="disguised"),
        pytest.param({"url": "https://exa mple.com:port"}, "url", id="no-url-at-all"),
        pytest.param({"url": "https://example.com", "contextLimit": 51}, "contextLimit", id="context-over"),
        pytest.param({"url": "https://example.com", "timeout": 4}, "timeout", id="timeout-under"),
        pytest.param({"url": "https://example.com", "timeout": 121}, "timeout", id="timeout-over"),
    ],
)
async def test_a_bad_webhook_is_refused_by_field(api: httpx.AsyncClient, body: dict[str, Any], field: str) -> None:
    answer = await api.post("/v1/webhooks", json=body)
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", field])
    assert (await api.get("/v1/webhooks")).json() is None


@PATHS
async def test_a_test_event_reaches_a_webhook_on_this_machine(
    api: httpx.AsyncClient, hook: Any, set_hook: SetHook, path: str
) -> None:
    await set_hook(path)
    answer = (await api.post(f"{path}/test")).json()
    assert (answer["success"], answer["statusCode"], answer["error"]) == (True, 200, None)
    assert answer["responseMs"] >= 0
    (received,) = hook.received
    event = received.event
    assert (event["event"], event["channel"], event["test"]) == ("agent.message", "sms", True)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        pytest.param("https://example.com/hook", "loopback only", id="elsewhere"),
        pytest.param("http://127.0.0.1:1/hook", "ConnectError", id="nobody-listens"),
        pytest.param("http://127.0.0.1:0/hook", "Connect", id="no-such-port"),
    ],
)
async def test_a_failed_test_is_told_and_recorded(api: httpx.AsyncClient, url: str, message: str) -> None:
    await api.post("/v1/webhooks", json={"url": url})
    answer = (await api.post("/v1/webhooks/test")).json()
    assert (answer["success"], answer["statusCode"]) == (False, None)
    assert message in answer["error"]
    (delivery,) = (await api.get("/v1/webhooks/deliveries")).json()["items"]
    assert (delivery["status"], delivery["errorMessage"]) == ("failed", answer["error"])


async def test_deliveries_are_counted(api: httpx.AsyncClient, hook: Any, set_hook: SetHook) -> None:
    await set_hook()
    await api.post("/v1/webhooks/test")
    await set_hook("/v1/agents/agt_orderline/webhook")
    hook.status = 500
    await api.post("/v1/agents/agt_orderline/webhook/test")
    listed = (await api.get("/v1/webhooks/deliveries", params={"hours": 1})).json()
    assert listed["data"] == listed["items"]
    assert [(row["status"], row["httpStatus"], row["success"]) for row in listed["data"]] == [
        ("failed", 500, False),
        ("success", 200, True),
    ]
    (of_agent,) = (await api.get("/v1/agents/agt_orderline/webhook/deliveries")).json()
    assert of_agent == listed["data"][0]
    stats = (await api.get("/v1/webhooks/deliveries/stats")).json()
    counts = {"total": 2, "success": 1, "failed": 1, "pending": 0}
    assert counts.items() <= stats.items()
    assert (stats["successRate"], stats["byEventType"]) == (50, {"agent.message": counts})
    assert sum(hour["total"] for hour in stats["byHour"]) == 2


async def test_no_deliveries_are_no_division_by_zero(api: httpx.AsyncClient) -> None:
    stats = (await api.get("/v1/webhooks/deliveries/stats", params={"hours": 1})).json()
    assert (stats["total"], stats["successRate"], stats["byHour"]) == (0, 0, [])


async def test_one_sandbox_can_be_anothers_webhook() -> None:
    with running() as sender, running() as target:
        async with over_http(sender) as http:
            await http.post("/v1/webhooks", json={"url": target.url + "/hook"})
            answer = (await http.post("/v1/webhooks/test")).json()
    assert (answer["success"], answer["statusCode"]) == (False, 404)
    assert target.requests[0].body["event"] == "agent.message"
