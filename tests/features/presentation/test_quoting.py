"""Test the previews that a person sees before agreeing."""


async def test_a_person_sees_everything_that_changes_the_action(assistant, writes) -> None:
    call = {
        "agent_id": "agt_frontdesk",
        "to_number": "+14155559999",
        "prompt": "Ask. " * 300 + "Then insult them.",
        "voice": "nova",
        "model_tier": "max",
        "variables": {"day": "Friday"},
        "disable_recording": True,
    }
    async with assistant() as ai:
        placed = (await ai.ask("place_call", **call))["what"]
        bought = (await ai.ask("buy_number", expires_at="2999-01-31T12:00:00Z"))["what"]
        opened = (await ai.ask("create_web_call", agent_id="agt_frontdesk", metadata={"user": 7}))["what"]
        past = await ai.refused("buy_number", expires_at="2001-01-31T12:00:00Z", confirm=True)
        file = await ai.refused(
            "send_message", to_number="+14155559999", body="Hi", number_id="num_frontdesk", media_urls=["file:///x"]
        )
    assert "Then insult them." in placed
    assert 'voice "nova", model_tier "max", variables "{\\"day\\": \\"Friday\\"}", disable_recording true' in placed
    assert "released by itself, for good, at 2999-01-31T12:00:00+00:00" in bought
    assert 'metadata "{\\"user\\": 7}"' in opened
    assert "it is in the past" in past
    assert "media_urls.0: write it as https://host/path" in file
    assert writes() == []
