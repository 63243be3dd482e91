"""Check the injected faults: answers that break as networks and servers do."""

import time

import httpx
import pytest

from agentphone_mcp.sandbox import BadFaultError, ConnectionDroppedError, Fault, Sandbox, running
from agentphone_mcp.sandbox.http.faults import parse
from agentphone_mcp.sandbox.terminal import format_line
from tests.sandbox.clients import bearer, in_process

DROPPED = pytest.mark.parametrize(
    ("rule", "agents"), [("POST /v1/agents drop-before", 2), ("POST /v1/agents drop-after", 3)], ids=["before", "after"]
)


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        pytest.param("POST /v1/numbers drop-after", Fault("POST", "/v1/numbers", drop="after"), id="drop-after"),
        pytest.param("* /v1/* drop-before always", Fault("*", "/v1/*", drop="before", times=None), id="always"),
        pytest.param("get /v1/* status=503 times=2", Fault("GET", "/v1/*", status=503, times=2), id="twice"),
        pytest.param("* /v1/calls delay=0.5", Fault("*", "/v1/calls", delay=0.5), id="delay"),
        pytest.param("GET /v1/x status=429 retry-after=7", Fault("GET", "/v1/x", 429, 7), id="retry-after"),
        pytest.param("GET /v1/agents malformed", Fault("GET", "/v1/agents", malformed=True), id="malformed"),
        pytest.param("GET /v1/* cut-after=3", Fault("GET", "/v1/*", cut_after=3), id="cut-after"),
    ],
)
def test_a_rule_is_read_from_words(rule: str, fault: Fault) -> None:
    assert parse(rule) == fault


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        pytest.param("GET /v1/agents", "METHOD PATH EFFECT", id="no-effect"),
        pytest.param("GET /v1/agents always", "nothing would happen", id="only-a-count"),
        pytest.param("FETCH /v1/agents malformed", "no method", id="no-method"),
        pytest.param("GET v1/agents malformed", "no path", id="no-path"),
        pytest.param("GET /v1/agents explode", "'explode' is no effect", id="unknown-effect"),
        pytest.param("GET /v1/agents status=200", "no error", id="status-that-is-fine"),
        pytest.param("GET /v1/agents status=soon", "no number", id="status-in-words"),
        pytest.param("GET /v1/agents delay=nan", "no number", id="delay-not-a-number"),
        pytest.param("GET /v1/agents delay=-1", "not between", id="delay-back-in-time"),
        pytest.param("GET /v1/agents malformed times=0", "never", id="never"),
        pytest.param("GET /v1/agents delay=1 retry-after=1", "needs a status", id="retry-after-alone"),
        pytest.param("GET /v1/agents malformed drop-after", "only one", id="two-at-once"),
        pytest.param("GET /v1/agents cut-after=0", "nothing arrive", id="cut-at-once"),
    ],
)
def test_a_rule_that_is_none_is_told_in_a_sentence(rule: str, message: str) -> None:
    with pytest.raises(BadFaultError, match=message):
        Sandbox(faults=[rule])


@pytest.mark.parametrize("api_version", ["union", "seeds", "new"])
async def test_a_status_is_answered_in_the_shape_of_the_age(api_version: str) -> None:
    sandbox = Sandbox(api_version=api_version, faults=["POST /v1/agents status=503"])
    async with in_process(sandbox) as api:
        broken, fine = [await api.post("/v1/agents", json={"name": "A"}) for _ in range(2)]
    assert (broken.status_code, fine.status_code) == (503, 201)
    assert broken.json().keys() == {"union": {"detail", "error"}, "seeds": {"detail"}, "new": {"error"}}[api_version]
    assert len(sandbox.context.account.agents) == 3
    assert [request.status for request in sandbox.requests] == [503, 201]


async def test_a_rate_limit_says_when_to_come_back(api: httpx.AsyncClient, sandbox: Sandbox) -> None:
    sandbox.faults.rules += [parse("GET /v1/agents status=429 retry-after=7"), parse("GET /v1/agents status=429")]
    answers = [await api.get("/v1/agents") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [429, 429, 200]
    assert [answer.headers.get("Retry-After") for answer in answers] == ["7", "1", None]
    assert answers[0].json()["error"]["code"] == "RATE_LIMIT_EXCEEDED"


async def test_a_rule_fits_by_method_and_path(api: httpx.AsyncClient, sandbox: Sandbox) -> None:
    sandbox.faults.rules.append(parse("GET /v1/agents* status=500 always"))
    paths = ["/v1/agents", "/v1/agents/agt_frontdesk", "/v1/numbers", "/__sandbox/faults"]
    assert [(await api.get(path)).status_code for path in paths] == [500, 500, 200, 200]
    assert (await api.post("/v1/agents", json={"name": "A"})).status_code == 201


async def test_a_stranger_uses_up_no_rule(api: httpx.AsyncClient, sandbox: Sandbox) -> None:
    sandbox.faults.rules.append(parse("* * status=500"))
    assert (await api.get("/v1/agents", headers={"Authorization": ""})).status_code == 401
    assert (await api.get("/v1/agents")).status_code == 500


async def test_a_malformed_answer_is_cut_in_half(api: httpx.AsyncClient, sandbox: Sandbox) -> None:
    sandbox.faults.rules.append(parse("POST /v1/agents malformed"))
    answer = await api.post("/v1/agents", json={"name": "A"})
    assert (answer.status_code, answer.headers["content-type"]) == (201, "application/json")
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        answer.json()
    assert len(sandbox.context.account.agents) == 3


async def test_a_delayed_answer_is_a_right_one(api: httpx.AsyncClient, sandbox: Sandbox) -> None:
    sandbox.faults.rules.append(parse("GET /v1/agents delay=0.1"))
    started = time.monotonic()
    assert (await api.get("/v1/agents")).status_code == 200
    assert time.monotonic() - started >= 0.1


@DROPPED
async def test_a_dropped_connection_is_an_error_of_the_network(
    api: httpx.AsyncClient, sandbox: Sandbox, rule: str, agents: int
) -> None:
    sandbox.faults.rules.append(parse(rule))
    with pytest.raises(httpx.RemoteProtocolError) as dropped:
        await api.post("/v1/agents", json={"name": "A"})
    assert isinstance(dropped.value, ConnectionDroppedError)
    assert len(sandbox.context.account.agents) == agents
    assert (sandbox.requests[-1].status, sandbox.requests[-1].is_dropped) == (0, True)
    assert (await api.get("/v1/agents")).json()["total"] == agents


@DROPPED
def test_a_connection_is_really_dropped(
    rule: str, agents: int, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with (
        running(faults=[rule]) as sandbox,
        httpx.Client(base_url=sandbox.url, headers=bearer(sandbox), trust_env=False, timeout=60) as client,
    ):
        assert client.get("/v1/agents").status_code == 200
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            client.post("/v1/agents", json={"name": "A"})
        assert client.get("/v1/agents").json()["total"] == agents
    assert not caplog.records
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("rule", ["POST /v1/agents drop-before", "POST /v1/agents drop-after"], ids=["before", "after"])
async def test_a_request_that_was_dropped_is_shown(http: httpx.AsyncClient, served: Sandbox, rule: str) -> None:
    served.faults.rules.append(parse(rule))
    with served.context.event_stream.subscribe(lambda: None) as subscriber:
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await http.post("/v1/agents", json={"name": "A"})
        [row] = (await http.get("/__sandbox/view")).json()["requests"]
        published = [event for event in subscriber.take() if event.kind == "request"]
    assert (row["method"], row["path"], row["status"], row["body"]) == (
        "POST",
        "/v1/agents",
        None,
        '{\n "name": "A"\n}',
    )
    assert [format_line(event).plain.split()[1:] for event in published] == [["POST", "dropped", "/v1/agents"]]


async def test_faults_are_managed_while_it_runs(api: httpx.AsyncClient) -> None:
    in_words = await api.post("/__sandbox/faults", json={"rule": "GET /v1/numbers malformed always"})
    fields = {"method": "get", "path": "/v1/agents", "status": 429, "retryAfter": 3, "times": 2}
    in_fields = await api.post("/__sandbox/faults", json=fields)
    dropping = await api.post("/__sandbox/faults", json={"path": "/v1/calls", "drop": "after", "times": "always"})
    assert (in_words.status_code, in_fields.status_code, dropping.json()["method"]) == (201, 201, "*")
    assert (await api.get("/v1/agents")).status_code == 429
    first, second, third = (await api.get("/__sandbox/faults")).json()["data"]
    assert (first["path"], first["malformed"], first["times"]) == ("/v1/numbers", True, "always")
    assert (second["method"], second["retryAfter"], second["times"]) == ("GET", 3, 1)
    assert (third["drop"], third["times"]) == ("after", "always")
    assert (await api.delete("/__sandbox/faults")).json() == {"success": True, "cleared": 3}
    assert (await api.get("/v1/agents")).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"rule": "GET /v1/agents explode"}, id="bad-words"),
        pytest.param({"path": "/v1/agents"}, id="no-effect"),
        pytest.param({"path": "/v1/agents", "status": 200}, id="fine-status"),
        pytest.param({"path": "/v1/agents", "malformed": True, "times": "often"}, id="bad-times"),
    ],
)
async def test_a_wrong_fault_is_refused(api: httpx.AsyncClient, body: dict[str, object]) -> None:
    answer = await api.post("/__sandbox/faults", json=body)
    assert (answer.status_code, "detail" in answer.json()) == (422, True)
    assert (await api.get("/__sandbox/faults")).json() == {"data": []}
