"""Manage webhooks of the project and of single agents."""

import pytest

URL = "https://example.com/hook"
OTHER = "https://example.org/hook"
EACH_OWNER = pytest.mark.parametrize("owner", [{}, {"agent_id": "agt_frontdesk"}], ids=["project", "agent"])


@EACH_OWNER
async def test_no_webhook_is_an_answer_and_not_an_error(assistant, owner) -> None:
    async with assistant() as ai:
        result = await ai.ask("get_webhook", **owner)
    assert result["is_set"] is False
    of = "the webhook of the agent 'Front Desk'" if owner else "the project's webhook"
    assert result == {"is_set": False, "next_step": f"set_webhook makes {of}."}


@EACH_OWNER
async def test_a_webhooks_secret_is_shown_at_its_creation_alone(assistant, owner) -> None:
    async with assistant() as ai:
        made = await ai.ask("set_webhook", url=URL, context_limit=5, timeout=60, **owner)
        secret = made["result"]["secret"]
        seen = await ai.ask("get_webhook", **owner)
        overview = await ai.ask("account_overview")
        preview = await ai.ask("set_webhook", url=OTHER, **owner)
        doomed = await ai.ask("delete_webhook", **owner)
        mismatch = await ai.refused("delete_webhook", confirm="https://mismatch.example/", **owner)
    assert made["status"] == "done"
    assert secret.startswith("whsec_")
    assert "keep the secret now" in made["next_step"]
    assert (seen["url"], seen["context_limit"], seen["timeout"], seen["secret_ends_in"]) == (URL, 5, 60, secret[-4:])
    assert secret not in f"{seen}{overview}{preview}{doomed}{mismatch}"


@EACH_OWNER
async def test_a_first_webhook_needs_no_confirmation(assistant, writes, owner) -> None:
    async with assistant() as ai:
        assert (await ai.ask("set_webhook", url=URL, **owner))["status"] == "done"
    assert len(writes()) == 1


@EACH_OWNER
async def test_replacing_a_webhook_names_the_old_and_the_new(assistant, sandbox, owner) -> None:
    async with assistant() as ai:
        first = await ai.ask("set_webhook", url=URL, **owner)
        preview = await ai.ask("set_webhook", url=OTHER, **owner)
        done = await ai.ask("set_webhook", url=OTHER, confirm=URL, **owner)
    assert preview["status"] == "needs_confirmation"
    assert f"{URL} by {OTHER}" in preview["what"]
    assert "the current secret stops signing" in preview["what"]
    assert ("'Front Desk'" in preview["what"]) is bool(owner)
    assert f'confirm="{URL}"' in preview["next_step"]
    assert (done["status"], done["result"]["url"]) == ("done", OTHER)
    assert done["result"]["secret"] != first["result"]["secret"]


async def test_replacing_a_webhook_keeps_the_settings_that_were_not_given(assistant, sandbox) -> None:
    """The API resets to its defaults what is left out."""
    async with assistant() as ai:
        await ai.ask("set_webhook", url=URL, context_limit=3, timeout=90)
        preview = await ai.ask("set_webhook", url=OTHER)
        await ai.ask("set_webhook", url=OTHER, confirm=URL)
        after = await ai.ask("get_webhook")
    assert (after["context_limit"], after["timeout"]) == (3, 90) or "default" in preview["what"]


async def test_an_agents_webhook_is_its_own(assistant) -> None:
    async with assistant() as ai:
        await ai.ask("set_webhook", url=URL, agent_id="agt_frontdesk")
        assert (await ai.ask("get_webhook"))["is_set"] is False
        assert (await ai.ask("get_webhook", agent_id="agt_frontdesk"))["url"] == URL


@pytest.mark.parametrize("wanted", ["ftp://example.com/", "example.com/hook", "https://", ""], ids=str)
async def test_an_address_that_is_no_url_is_refused(assistant, sandbox, wanted) -> None:
    async with assistant() as ai:
        assert "url" in await ai.refused("set_webhook", url=wanted)
    assert sandbox.requests == []


async def test_an_address_nobody_else_can_reach_is_refused_by_the_api(assistant) -> None:
    async with assistant() as ai:
        message = await ai.refused("set_webhook", url="http://example.com/hook")
    assert "422" in message
    assert "URL must be a public https:// URL" in message


@EACH_OWNER
async def test_deleting_a_webhook_says_who_gets_the_events_then(assistant, owner) -> None:
    async with assistant() as ai:
        await ai.ask("set_webhook", url=URL, **owner)
        preview = await ai.ask("delete_webhook", **owner)
        done = await ai.ask("delete_webhook", confirm=URL, **owner)
        after = await ai.ask("get_webhook", **owner)
    assert URL in preview["what"]
    assert ("nobody gets its events" in preview["what"]) is bool(owner)
    assert (done["status"], after["is_set"]) == ("done", False)


@EACH_OWNER
async def test_there_may_be_nothing_to_delete(assistant, writes, owner) -> None:
    async with assistant() as ai:
        message = await ai.refused("delete_webhook", confirm=URL, **owner)
    assert message.startswith("Nothing to delete: the")
    assert writes() == []


async def test_an_unknown_agent_has_no_webhook_to_set(assistant, writes) -> None:
    async with assistant() as ai:
        message = await ai.refused("set_webhook", url=URL, agent_id="agt_nobody")
    assert "list_agents gives a valid agent_id" in message
    assert writes() == []


@EACH_OWNER
async def test_a_webhook_is_tested_and_its_deliveries_are_counted(assistant, owner) -> None:
    async with assistant() as ai:
        await ai.ask("set_webhook", url="http://127.0.0.1:9/hook", **owner)
        tested = await ai.ask("test_webhook", **owner)
        listed = await ai.ask("list_webhook_deliveries", **owner)
        stats = await ai.ask("get_webhook_stats", **owner)
    assert tested["success"] is False
    assert tested["error"]
    assert [(row["event"], row["status"]) for row in listed["data"]] == [("agent.message", "failed")]
    assert (stats["total"], stats["failed"], stats["success"]) == (1, 1, 0)


async def test_a_page_of_deliveries_says_where_the_next_begins(assistant) -> None:
    async with assistant() as ai:
        await ai.ask("set_webhook", url="http://127.0.0.1:9/hook")
        for _ in range(3):
            await ai.ask("test_webhook")
        first = await ai.ask("list_webhook_deliveries", limit=2, hours=1)
        second = await ai.ask("list_webhook_deliveries", limit=2, hours=1, offset=first["next_offset"])
    assert (len(first["data"]), len(second["data"]), "next_offset" in second) == (2, 1, False)
    assert {row["id"] for row in first["data"]}.isdisjoint(row["id"] for row in second["data"])


async def test_the_deliveries_of_an_agent_can_be_paged_too(assistant) -> None:
    """Its endpoint answers with a bare list, so that a full page is the only sign of more."""
    seen: set[str] = set()
    async with assistant() as ai:
        await ai.ask("set_webhook", url="http://127.0.0.1:9/hook", agent_id="agt_frontdesk")
        for _ in range(3):
            await ai.ask("test_webhook", agent_id="agt_frontdesk")
        offset: int | None = 0
        while offset is not None:
            page = await ai.ask("list_webhook_deliveries", agent_id="agt_frontdesk", limit=2, offset=offset)
            seen |= {row["id"] for row in page["data"]}
            offset = page.get("next_offset")
    assert len(seen) == 3


async def test_no_deliveries_is_said_in_words(assistant) -> None:
    async with assistant() as ai:
        result = await ai.ask("list_webhook_deliveries")
        stats = await ai.ask("get_webhook_stats", hours=720)
    assert result == {"data": [], "next_step": "Nothing was delivered."}
    assert stats["total"] == 0


async def test_an_agents_stats_say_when_not_everything_was_counted(assistant, answering) -> None:
    rows = [{"id": f"del_{number}", "event": "agent.message", "status": "success"} for number in range(100)]
    async with assistant(answering(rows)) as ai:
        stats = await ai.ask("get_webhook_stats", agent_id="agt_1")
    assert stats["total"] == 100
    assert "latest 100" in stats["counted"]
