"""Test each prompt by following it: an assistant that does what the text says reaches its end."""

import re

import pytest

from tests.features.marks import mark, quote

FRIEND, BUSY, ABRUPT, WANTS_A_HUMAN = "+14155559999", "+14155550101", "+14155550104", "+14155550106"
ADA, SAM, LIN = "+14155550142", "+14155550143", "+14155550144"
FRONT_DESK, ITS_NUMBER = "agt_frontdesk", "+14155550100"
LEADS = f"Ada Byron, {ADA}; Sam, {ABRUPT}; Lin, {LIN}"


async def test_a_call_is_placed_and_reported(walk, writes, mode) -> None:
    async with walk("call_and_report", mode, to_number="(415) 555-9999", goal="Reserve a table for two.") as ai:
        (agent,) = [agent for agent in (await ai.use("list_agents"))["data"] if agent.get("numbers")]
        call = {"agent_id": agent["id"], "to_number": ai.given["to_number"], "prompt": ai.given["goal"]}
        assert writes() == []
        placed = await ai.agree("place_call", **call)
        followed = await ai.listen(placed["id"])
        transcript = await ai.use("get_transcript", call_id=placed["id"])
        assert ai.is_done()
    assert (placed["to_number"], followed["status"]) == (FRIEND, "completed")
    assert "Sam Rivera" in transcript["turns"][1]["text"]
    assert transcript["turns"][1]["text"].startswith("<untrusted ")
    assert writes() == ["POST /v1/calls"]


async def test_a_call_that_nobody_took_is_not_reported_as_one(walk) -> None:
    async with walk("call_and_report", to_number=BUSY, goal="Ask for the time.", agent_id=FRONT_DESK) as ai:
        assert (await ai.use("get_agent", agent_id=ai.given["agent_id"]))["numbers"]
        call = {name: ai.given[name] for name in ("agent_id", "to_number")}
        placed = await ai.agree("place_call", prompt=ai.given["goal"], **call)
        followed = await ai.listen(placed["id"])
        assert (await ai.use("get_transcript", call_id=placed["id"]))["turns"] == []
        assert ai.is_done()
    assert (followed["status"], followed["turns"]) == ("busy", [])
    assert "A call that was accepted has not been answered yet" in ai.text


async def test_a_support_line_is_bought_and_answers(walk, ring, writes, rows_of) -> None:
    greeting = "Acme Support, what is broken?"
    async with walk(
        "set_up_support_line",
        name="Acme Support",
        knowledge="We repair toasters.",
        greeting=greeting,
        transfer_number="415 555 0177",
        area_code="415",
    ) as ai:
        given = ai.given
        agents, numbers = await ai.use("list_agents"), await ai.use("list_numbers")
        assert given["name"] not in {agent["name"] for agent in agents["data"]}
        assert all(number.get("agent_id") for number in rows_of(numbers))
        made = await ai.use(
            "create_agent",
            name=given["name"],
            voice_mode=given["answered_by"],
            begin_message=given["greeting"],
            system_prompt=given["knowledge"],
            transfer_number=given["transfer_number"],
        )
        agent_id = made["agent"]["id"]
        bought = await ai.agree("buy_number", agent_id=agent_id, area_code=given["area_code"])
        agent = await ai.use("get_agent", agent_id=agent_id)
        assert [number["phone_number"] for number in agent["numbers"]] == [bought["phone_number"]]
        await ring(bought["phone_number"], WANTS_A_HUMAN)
        (call,) = rows_of(await ai.use("list_calls", agent_id=agent_id))
        transcript = await ai.use("get_transcript", call_id=call["id"])
        assert ai.is_done(but={"attach_number"})
    assert (call["status"], transcript["turns"][0]) == (
        "completed",
        transcript["turns"][0] | {"role": "agent", "text": quote(greeting)},
    )
    assert "hand over to a human" in ai.text
    assert agent["transfer_number"] == "+14155550177"
    assert writes().count("POST /v1/numbers") == 1


async def test_a_support_line_on_a_free_number_is_answered_by_a_webhook(walk, ring, control, hook, rows_of) -> None:
    await control.delete(f"/v1/agents/{FRONT_DESK}/numbers/num_frontdesk")
    async with walk(
        "set_up_support_line",
        name="Acme Hours",
        knowledge="Opening hours.",
        greeting="Hello.",
        answered_by="Webhook",
        webhook_url=hook.url,
    ) as ai:
        await ai.use("list_agents")
        (free,) = [number for number in rows_of(await ai.use("list_numbers")) if not number.get("agent_id")]
        made = await ai.use("create_agent", name=ai.given["name"], voice_mode=ai.given["answered_by"])
        agent_id = made["agent"]["id"]
        await ai.use("attach_number", agent_id=agent_id, number_id=free["id"])
        assert (await ai.use("set_webhook", url=ai.given["webhook_url"], agent_id=agent_id))["status"] == "done"
        assert (await ai.use("test_webhook", agent_id=agent_id))["success"]
        await ai.use("get_agent", agent_id=agent_id)
        await ring(free["phone_number"], says=["When do you open?", "Thank you, goodbye."])
        (call,) = rows_of(await ai.use("list_calls", agent_id=agent_id))
        turns = (await ai.use("get_transcript", call_id=call["id"]))["turns"]
        assert ai.is_done(but={"buy_number"})
    assert {"agent.message", "agent.call_ended"} <= {event["event"] for event in hook.events}
    assert quote("We open at nine.") in {turn["text"] for turn in turns if turn["role"] == "agent"}


async def test_leads_are_called_one_after_the_other_up_to_the_limit(walk, control, sandbox) -> None:
    async with walk("qualify_leads", leads=LEADS, criteria="Who owns a toaster?", most_calls="2") as ai:
        agent = next(agent for agent in (await ai.use("list_agents"))["data"] if agent.get("numbers"))
        most = int(re.search(r"Stop after (\d+) calls", ai.text)[1])
        ends = []
        for number in ai.people[:most]:
            assert [call for call in (await control.get("/v1/calls")).json()["data"] if not call["endedAt"]] == []
            call = {"agent_id": agent["id"], "to_number": number, "prompt": ai.given["criteria"]}
            placed = await ai.agree("place_call", **call)
            ends.append((placed["to_number"], (await ai.listen(placed["id"]))["ended"]))
            assert (await ai.use("get_transcript", call_id=placed["id"]))["turns"]
            ai.next_person()
        assert ai.is_done()
    assert ai.people == [ADA, ABRUPT, LIN]
    assert ends == [(ADA, True), (ABRUPT, True)]
    assert [request.body["toNumber"] for request in sandbox.requests if request.method == "POST"] == [ADA, ABRUPT]


async def test_participants_are_reminded_by_text_and_their_answers_are_read(walk, control, writes) -> None:
    async with walk(
        "remind_participants", participants=f"Ada Byron, {ADA}\nSam, {SAM}", event="The tasting", when="Friday at six"
    ) as ai:
        agent = next(agent for agent in (await ai.use("list_agents"))["data"] if agent.get("numbers"))
        body = f"{ai.given['event']} is on {ai.given['when']}. Will you come? Yes or no."
        assert writes() == []
        for number in ai.people:
            preview = await ai.use("send_message", agent_id=agent["id"], to_number=number, body=body)
            assert body in preview["what"]
        for number in ai.people:
            await ai.use("send_message", agent_id=agent["id"], to_number=number, body=body, confirm=True)
        await control.post("/__sandbox/messages", json={"from": SAM, "to": ITS_NUMBER, "body": "Yes!"})
        talks = (await ai.use("list_conversations", agent_id=agent["id"]))["data"]
        latest = {}
        for talk in talks:
            messages = (await ai.use("get_conversation", conversation_id=talk["id"]))["messages"]
            latest[talk["participant"]] = max(messages, key=lambda message: message["at"])["body"]
        assert ai.is_done()
    assert latest == {ADA: quote(body), SAM: mark("Yes!")}
    assert writes().count("POST /v1/messages") == 2


async def test_participants_are_reminded_by_call(walk, writes) -> None:
    async with walk(
        "remind_participants",
        participants=f"{ADA}; {BUSY}",
        event="The tasting",
        when="Friday at six",
        by="Call",
        agent_id=FRONT_DESK,
    ) as ai:
        await ai.use("get_agent", agent_id=ai.given["agent_id"])
        ends = []
        for number in ai.people:
            goal = f"{ai.given['event']}, {ai.given['when']}"
            placed = await ai.agree("place_call", agent_id=ai.given["agent_id"], to_number=number, prompt=goal)
            ends.append((await ai.listen(placed["id"]))["status"])
            await ai.use("get_transcript", call_id=placed["id"])
            ai.next_person()
        assert ai.is_done()
    assert ends == ["completed", "busy"]
    assert writes() == ["POST /v1/calls"] * 2


async def test_a_days_calls_are_reviewed_and_no_others(walk, control, ring, writes, rows_of) -> None:
    asked = ["Please call me back about the invoice.", "Goodbye."]
    wanted = [await ring(ITS_NUMBER, says=asked), await ring(ITS_NUMBER, SAM)]
    await control.post("/__sandbox/clock", json={"advance": 86_400})
    later = await ring(ITS_NUMBER)
    days = {call["startedAt"][:10] for call in wanted}
    set_up = writes()
    callers_words = {}
    for day in days:
        async with walk("review_calls", day=day) as ai:
            calls, offset = [], 0
            while offset is not None:
                page = await ai.use("list_calls", limit=100, offset=offset)
                calls += rows_of(page)
                offset = page.get("next_offset")
            for call in calls:
                if call["started_at"].startswith(ai.given["day"]):
                    turns = (await ai.use("get_transcript", call_id=call["id"]))["turns"]
                    callers_words[call["id"]] = " ".join(turn["text"] for turn in turns if turn["role"] == "caller")
            assert ai.is_done()
    assert set(callers_words) == {call["id"] for call in wanted}
    assert {later["id"], "call_past01"}.isdisjoint(callers_words)
    assert "call me back about the invoice" in callers_words[wanted[0]["id"]]
    assert writes() == set_up


@pytest.mark.parametrize(
    ("breaks", "shows", "explained"),
    [
        pytest.param({"url": "http://127.0.0.1:9/hook"}, {"status": "pending"}, "nobody listens", id="nobody-listens"),
        pytest.param({"status": 500}, {"status": "pending", "http_status": 500}, "5xx, a crash", id="it-crashes"),
        pytest.param({"status": 401}, {"http_status": 401}, "an old secret", id="an-old-secret"),
        pytest.param({"body": b"[]"}, {"status": "success", "http_status": 200}, "a list", id="it-answers-a-list"),
    ],
)
@pytest.mark.parametrize("whose", ["agent", "project"])
async def test_the_cause_of_a_silent_webhook_is_found(
    walk, ring, control, hook, whose, breaks, shows, explained, rows_of
) -> None:
    for name, value in breaks.items():
        setattr(hook, name, value)
    await control.post("/v1/agents/agt_orderline/numbers", json={"numberId": "num_frontdesk"})
    path = "/v1/agents/agt_orderline/webhook" if whose == "agent" else "/v1/webhooks"
    await control.post(path, json={"url": hook.url})
    call = await ring(ITS_NUMBER, says=["Is anybody there?"])
    filled_in = {"agent_id": "agt_orderline"} if whose == "agent" else {}
    async with walk("silent_webhook", **filled_in) as ai:
        of_it = dict(ai.given)
        assert (await ai.use("get_webhook", **of_it))["url"] == hook.url
        if whose == "agent":
            assert (await ai.use("get_agent", **of_it))["voice_mode"] == "webhook"
        else:
            assert (await ai.use("list_agents"))["data"]
        assert (await ai.use("get_webhook_stats", **of_it))["total"] > 0
        deliveries = (await ai.use("list_webhook_deliveries", hours=24, **of_it))["data"]
        assert call["id"] in {row["id"] for row in rows_of(await ai.use("list_calls"))}
        tested = await ai.use("test_webhook", **of_it)
        again = (await ai.use("list_webhook_deliveries", hours=24, **of_it))["data"]
        assert ai.is_done()
    assert [row for row in deliveries if shows.items() <= row.items()], deliveries
    assert ("http_status" in shows) is any("http_status" in row for row in deliveries)
    assert tested["success"] is (hook.body == b"[]")
    assert len(again) > len(deliveries)
    assert explained in ai.text


async def test_an_agent_without_a_webhook_falls_back_to_the_projects(walk) -> None:
    async with walk("silent_webhook", agent_id="agt_orderline") as ai:
        assert not (await ai.use("get_webhook", **ai.given))["is_set"]
        assert not (await ai.use("get_webhook"))["is_set"]
    assert "No webhook in either place: that is the cause" in ai.text
