"""Check the ids."""

from agentphone_mcp.sandbox.data.models import Ids


def test_ids_never_collide_and_are_the_same_in_every_run() -> None:
    one, other = Ids(), Ids()
    issued = [one.new("call") for _ in range(10_000)]
    assert len(set(issued)) == len(issued)
    assert issued[:100] == [other.new("call") for _ in range(100)]
    assert issued[0] == "call_9e3779b97f"
