"""Write the prompts that reach people: one call, a list of leads, reminders."""

from typing import Annotated

from pydantic import Field

from agentphone_mcp.features.prompts.arguments import AgentId, By, FreeText, MostCalls, People, ToNumber
from agentphone_mcp.features.prompts.workflow import ACCEPTED, GATE, UNTRUSTED, Workflow, number_people, render_prompt

_ONE_AT_A_TIME = """
    - Never two calls at once: the next one is placed only when `wait_for_call` has told ended: true for the one
      before, and nobody is called twice.
"""
_EACH_YES = """
    - Each person has a preview of their own. Your user may agree to several at once after seeing the whole list and
      the words; ask anew when a preview says anything else than what they saw.
"""
_THIS_AGENT = """
    - Look at the agent with `get_agent`. If it has no number, tell your user and stop.
"""
_SOME_AGENT = """
    - Find an agent with `list_agents`: it must have a number, and should suit the task. If several do, ask your user
      which one; if none does, tell them and stop.
"""
_REMIND_BY_CALL = """
    - Show your user what the agent will say and to whom, and ask whether it should be so.
    - For the next person: call `place_call` without confirm, with a prompt that has their name, the event and the
      time, asks whether they are coming, and says what to leave on a voicemail.
    - After a yes call `place_call` again with the same arguments and confirm=true.
    - Follow the call with `wait_for_call`, each time with the after_turn it gave, until it tells ended: true, and
      read it with `get_transcript`.
    - Go on with the next person from step 3, until everybody was called or your user stops it.
"""
_REMIND_BY_TEXT = """
    - Write one short text that says who writes, the event, the time, and to answer yes or no. Show it to your user
      with the list, and ask whether it should be so.
    - For each person: call `send_message` without confirm, with agent_id, to_number and the text as body.
    - After a yes call `send_message` again with the same arguments and confirm=true.
    - When all are sent, look with `list_conversations` and `get_conversation` for answers, then and whenever your
      user asks.
"""


def call_and_report(
    to_number: ToNumber,
    goal: Annotated[FreeText, Field(description="What the call should achieve: an appointment, a table, a follow-up")],
    on_behalf_of: Annotated[FreeText | None, Field(description="In whose name the agent calls")] = None,
    agent_id: AgentId = None,
) -> str:
    """Call somebody for me, such as to make an appointment or a reservation, and tell me what came of it."""
    in_whose_name = "" if on_behalf_of else ", and in whose name the agent calls"
    return render_prompt(
        task="""
        Call somebody for your user and report what came of it. Your user is asked once before it is dialled: they see
        whom it reaches, from which number, what a minute costs and how it begins.
        """,
        given={"to_number": to_number, "goal": goal, "on_behalf_of": on_behalf_of, "agent_id": agent_id},
        rules=GATE + ACCEPTED + UNTRUSTED,
        steps=f"""
        {_THIS_AGENT if agent_id else _SOME_AGENT}
        - Think of what the other side will want to know, such as names, dates, other times that suit, a number to
          call back{in_whose_name}. Ask your user for what is missing: what the agent does not know it can only guess.
        - Call `place_call` without confirm. Its prompt says the goal, in whose name, what the agent may agree to, what
          it must not, and what to do at a voicemail or a menu.
        - Show the preview and ask. After a yes call `place_call` again with the same arguments and confirm=true.
        - Follow it with `wait_for_call`, each time with the after_turn it gave, until it tells ended: true.
        - Read the whole conversation with `get_transcript` before you sum it up.
        """,
        report="""
        whether anybody answered, and whether it was a person or a machine; what was agreed, with times, names and
        prices as they were said; what is still open and what your user has to do. If nobody answered, say just that;
        to try again is your user's choice.
        """,
    )


def qualify_leads(
    leads: People,
    criteria: Annotated[FreeText, Field(description="What makes a good lead, and what to ask them")],
    most_calls: MostCalls = 10,
    agent_id: AgentId = None,
) -> str:
    """Call a list of leads one after the other, ask what matters, and sum it up in a table."""
    return render_prompt(
        task=f"""
        Call leads one after the other to find out who fits, {most_calls} calls at most. Before each call is dialled
        there is a preview, and your user is asked.
        """,
        given={"criteria": criteria, "agent_id": agent_id} | number_people(leads),
        rules=GATE + _EACH_YES + _ONE_AT_A_TIME + ACCEPTED + UNTRUSTED,
        steps=f"""
        {_THIS_AGENT if agent_id else _SOME_AGENT}
        - Turn the criteria into three to five short questions. Show your user the questions, the list and how many
          calls it will be at most, and ask whether it should be so.
        - For the next person on the list: call `place_call` without confirm, with a prompt that has their name and the
          questions, and says to thank and hang up when they do not want to talk.
        - After a yes call `place_call` again with the same arguments and confirm=true.
        - Follow the call with `wait_for_call`, each time with the after_turn it gave, until it tells ended: true.
        - Read it with `get_transcript` and note the answer to each question in their own words.
        - Go on with the next person from step 3. Stop after {most_calls} calls, at the end of the list, when your user
          says so, or when a limit or the balance refuses one.
        """,
        report="""
        a table with one row for each person on the list: name, number, how the call ended, the answers, whether they
        fit, and why. Those who were not reached or not called are in it as such; nobody fits by a guess. Below it, who
        asked not to be called again and who wants to hear more.
        """,
    )


def remind_participants(
    participants: People,
    event: Annotated[FreeText, Field(description="What it is, and where")],
    when: Annotated[FreeText, Field(description="Day, time and time zone")],
    by: By = "text",
    agent_id: AgentId = None,
) -> str:
    """Remind people of an event by call or text, and say who is coming."""
    is_call = by == "call"
    return render_prompt(
        task=f"""
        Remind people of an event, each by a {by}. Before each one there is a preview with its words and about what it
        costs, and your user is asked.
        """,
        given={"event": event, "when": when, "agent_id": agent_id} | number_people(participants),
        rules=GATE + _EACH_YES + (_ONE_AT_A_TIME if is_call else "") + ACCEPTED + UNTRUSTED,
        steps=(_THIS_AGENT if agent_id else _SOME_AGENT) + (_REMIND_BY_CALL if is_call else _REMIND_BY_TEXT),
        report="""
        a table with one row for each person: name, number, what became of the reminder, and what they said about
        coming. Silence is no yes: who did not answer is in it as not known.
        """,
    )


_CALLING = frozenset({"get_agent", "list_agents", "place_call", "wait_for_call", "get_transcript"})
CALL_AND_REPORT = Workflow(call_and_report, "Call somebody and report back", _CALLING)
QUALIFY_LEADS = Workflow(qualify_leads, "Qualify leads by phone", _CALLING)
REMIND_PARTICIPANTS = Workflow(
    remind_participants,
    "Remind people of an event",
    _CALLING | {"send_message", "list_conversations", "get_conversation"},
)
