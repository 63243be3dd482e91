"""Create, change, list and delete agents, and give them numbers."""

import pytest


async def test_agents_are_listed_with_voice_mode_and_numbers(assistant) -> None:
    async with assistant() as ai:
        result = await ai.ask("list_agents")
    assert [(row["id"], row["voice_mode"], row.get("numbers")) for row in result["data"]] == [
        ("agt_frontdesk", "hosted", ["+14155550100"]),
        ("agt_orderline", "webhook", None),
    ]
    assert result.keys() == {"data"}
    assert "system_prompt" not in result["data"][0]


async def test_a_page_of_agents_says_where_the_next_begins(assistant) -> None:
    async with assistant() as ai:
        first = await ai.ask("list_agents", limit=1)
        last = await ai.ask("list_agents", limit=1, offset=first["next_offset"])
    assert [first["data"][0]["name"], last["data"][0]["name"]] == ["Front Desk", "Order Line"]
    assert (first["next_offset"], "next_offset" in last) == (1, False)
    assert (first["total"], last["total"]) == (2, 2)


async def test_an_empty_account_is_told_to_create_an_agent(assistant, sandbox) -> None:
    sandbox.context.account.agents.clear()
    async with assistant() as ai:
        result = await ai.ask("list_agents")
    assert result["data"] == []
    assert result["next_step"].startswith("No agents yet: create_agent")


async def test_an_offset_past_the_end_is_not_an_empty_account(assistant) -> None:
    async with assistant() as ai:
        result = await ai.ask("list_agents", offset=50)
    assert result == {"data": [], "total": 2}


async def test_one_agent_is_shown_with_its_prompt_and_settings(assistant) -> None:
    async with assistant() as ai:
        result = await ai.ask("get_agent", agent_id="agt_frontdesk")
    assert result["system_prompt"].startswith("You are the front desk")
    assert (result["model_tier"], result["voice_speed"], result["max_silence_ms"]) == ("balanced", 1.0, 600_000)
    assert result["numbers"] == [{"id": "num_frontdesk", "phone_number": "+14155550100"}]


async def test_a_new_agent_gets_everything_it_was_given(assistant, sandbox) -> None:
    given = {
        "name": "Night Desk",
        "voice_mode": "hosted",
        "system_prompt": "Take messages.",
        "begin_message": "Good evening.",
        "voice": "openai-nova",
        "description": "After hours.",
        "transfer_number": "(415) 555-0177",
        "voicemail_message": "Call back.",
        "tuning": {"model_tier": "max", "max_silence_ms": 20_000, "language": "en-GB", "enable_backchannel": False},
    }
    async with assistant() as ai:
        result = await ai.ask("create_agent", **given)
    settings = sandbox.context.account.agents[result["agent"]["id"]].settings
    assert (settings["transferNumber"], settings["modelTier"], settings["maxSilenceMs"]) == (
        "+14155550177",
        "max",
        20_000,
    )
    assert (settings["language"], settings["enableBackchannel"], settings["voicemailMessage"]) == (
        "en-GB",
        False,
        "Call back.",
    )
    assert result["agent"]["system_prompt"] == "Take messages."
    assert "set_webhook" not in result["next_step"]
    assert "buy_number" in result["next_step"]


async def test_a_new_webhook_agent_is_told_to_get_a_number_and_a_webhook(assistant) -> None:
    async with assistant() as ai:
        result = await ai.ask("create_agent", name="Bare")
    assert result["agent"]["voice_mode"] == "webhook"
    assert "buy_number" in result["next_step"]
    assert "set_webhook" in result["next_step"]


@pytest.mark.parametrize("prompt", [{}, {"system_prompt": ""}], ids=["absent", "empty"])
async def test_a_hosted_agent_without_a_prompt_is_refused(assistant, sandbox, prompt) -> None:
    async with assistant() as ai:
        message = await ai.refused("create_agent", name="Mute", voice_mode="hosted", **prompt)
    assert message == "Nothing was created: voice_mode hosted needs a system_prompt."
    assert sandbox.requests == []


async def test_an_update_leaves_out_what_was_left_out(assistant, sandbox) -> None:
    async with assistant() as ai:
        result = await ai.ask("update_agent", agent_id="agt_frontdesk", name="Reception")
    assert sandbox.requests[-1].body == {"name": "Reception"}
    assert (result["result"]["name"], result["result"]["voice_mode"]) == ("Reception", "hosted")


async def test_an_update_can_clear_the_transfer_number(assistant, sandbox) -> None:
    async with assistant() as ai:
        for number in ("+14155550177", ""):
            result = await ai.ask(
                "update_agent", agent_id="agt_frontdesk", transfer_number=number, confirm="Front Desk"
            )
    assert sandbox.requests[-1].body == {"transferNumber": ""}
    assert "transfer_number" not in result["result"]


@pytest.mark.attack("10", "a number that bills more than an ordinary call passes as one")
@pytest.mark.parametrize("number", ["+16005551234", "+15215551234", "+17105551234", "+19765551234"])
async def test_no_costly_number_becomes_a_transfer_number(assistant, sandbox, number) -> None:
    async with assistant() as ai:
        told = await ai.refused("update_agent", agent_id="agt_frontdesk", transfer_number=number)
    assert "premium-rate numbers" in told
    assert sandbox.requests == []


@pytest.mark.parametrize("nothing", [{}, {"tuning": {}}, {"name": None}], ids=["absent", "empty-tuning", "null"])
async def test_an_update_of_nothing_is_refused(assistant, sandbox, nothing) -> None:
    async with assistant() as ai:
        assert "give at least one field" in await ai.refused("update_agent", agent_id="agt_frontdesk", **nothing)
    assert sandbox.requests == []


@pytest.mark.parametrize(
    "tuning",
    [
        pytest.param({"voice_speed": 3}, id="too-fast"),
        pytest.param({"max_silence_ms": 1}, id="too-impatient"),
        pytest.param({"model_tier": "huge"}, id="no-such-tier"),
        pytest.param({"colour": "red"}, id="no-such-setting"),
        pytest.param("fast", id="no-object"),
    ],
)
async def test_an_impossible_tuning_is_refused_by_name(assistant, sandbox, tuning) -> None:
    async with assistant() as ai:
        assert "tuning" in await ai.refused("update_agent", agent_id="agt_frontdesk", tuning=tuning)
        assert "tuning" in await ai.refused("create_agent", name="X", tuning=tuning)
    assert sandbox.requests == []


async def test_a_deleted_agent_leaves_its_numbers(assistant, sandbox) -> None:
    async with assistant() as ai:
        preview = await ai.ask("delete_agent", agent_id="agt_frontdesk")
        done = await ai.ask("delete_agent", agent_id="agt_frontdesk", confirm="Front Desk")
    assert "'Front Desk'" in preview["what"]
    assert "+14155550100" in preview["what"]
    assert 'confirm="Front Desk"' in preview["next_step"]
    assert (done["status"], done["result"]["unassigned_numbers"]) == ("done", ["num_frontdesk"])
    assert list(sandbox.context.account.numbers) == ["num_frontdesk"]


async def test_voices_are_found_among_hundreds(assistant, rows_of) -> None:
    async with assistant() as ai:
        everything = await ai.ask("list_voices")
        second = await ai.ask("list_voices", offset=everything["next_offset"])
    assert len(everything["rows"]) == 20
    assert everything["total"] > 200
    assert {voice["id"] for voice in rows_of(everything)}.isdisjoint(voice["id"] for voice in rows_of(second))


async def test_every_voice_is_reached_by_paging(assistant, rows_of) -> None:
    seen: list[str] = []
    async with assistant() as ai:
        offset: int | None = 0
        while offset is not None:
            page = await ai.ask("list_voices", limit=100, offset=offset)
            seen += [voice["id"] for voice in rows_of(page)]
            offset = page.get("next_offset")
    assert len(seen) == len(set(seen)) == page["total"]


@pytest.mark.parametrize(
    "filters",
    [
        pytest.param({"search": "BRIAN"}, id="name-in-capitals"),
        pytest.param({"search": "british"}, id="accent"),
        pytest.param({"gender": "neutral"}, id="gender"),
        pytest.param({"provider": "OpenAI"}, id="provider"),
        pytest.param({"search": "american", "gender": "female", "provider": "eleven"}, id="all-at-once"),
    ],
)
async def test_voices_are_narrowed(assistant, rows_of, filters) -> None:
    async with assistant() as ai:
        every = (await ai.ask("list_voices", limit=1))["total"]
        narrowed = await ai.ask("list_voices", limit=100, **filters)
    assert 0 < narrowed.get("total", len(narrowed["rows"])) < every
    for voice in rows_of(narrowed):
        text = " ".join(voice.get(part, "") for part in ("id", "name", "accent")).casefold()
        assert filters.get("search", "").casefold() in text
        assert filters.get("gender") in (None, voice.get("gender"))
        assert filters.get("provider", "").casefold() in voice["provider"].casefold()


async def test_a_voice_nobody_has_is_told_how_to_search_wider(assistant) -> None:
    async with assistant() as ai:
        result = await ai.ask("list_voices", search="no such voice")
    assert result == {"columns": [], "rows": [], "next_step": "No voice is like that: leave a filter out."}


async def test_a_number_moves_from_one_agent_to_another(assistant, sandbox) -> None:
    number = sandbox.context.account.numbers["num_frontdesk"]
    async with assistant() as ai:
        ids = {"agent_id": "agt_orderline", "number_id": "num_frontdesk"}
        moved = await ai.ask("attach_number", **ids, confirm="+14155550100")
        result = moved["result"]
        assert (result["agent_id"], result["number"]["phone_number"]) == ("agt_orderline", "+14155550100")
        assert number.agent_id == "agt_orderline"
        assert (await ai.ask("detach_number", **ids, confirm="+14155550100"))["result"]["success"]
    assert number.agent_id is None


async def test_detaching_a_number_that_is_elsewhere_says_so(assistant) -> None:
    async with assistant() as ai:
        message = await ai.refused("detach_number", agent_id="agt_orderline", number_id="num_frontdesk")
    assert "is not attached" in message
    assert "list_agents gives a valid agent_id" in message
    assert "list_numbers gives a valid number_id" in message
