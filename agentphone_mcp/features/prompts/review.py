"""Write the prompts that look back: at a day's calls, and at a webhook that gets no events."""

from agentphone_mcp.features.prompts.arguments import Day, SilentAgentId
from agentphone_mcp.features.prompts.workflow import UNTRUSTED, Workflow, render_prompt

_FALLS_BACK = """If the agent has none, its events go to the project's: look at that one too, without agent_id, and go
    on with it below. No webhook in either place: that is the cause."""
_ONLY_ONE = "None is set: that is the cause, unless the agents have their own."


def review_calls(day: Day = "yesterday") -> str:
    """Go through a day's calls: how they ended, what was promised, and who wants to be called back."""
    return render_prompt(
        task="""
        Go through the calls of one day for your user. All of it is reading: nothing is spent and nobody is reached, so
        nobody needs to be asked. Should your user then want somebody called, that is a new task.
        """,
        given={"day": day},
        rules="""
        - A day is your user's day. The tools tell times in UTC, so say which time zone you counted in, and ask for it,
          or for today's date, where you do not know it.
        - completed means that a call was connected and is over; it may have been a machine that answered, and nothing
          may have come of it. Only the words tell. A call that was accepted need not have been answered.
        """
        + UNTRUSTED,
        steps="""
        - List the calls with `list_calls`, limit 100, newest first. Go on with next_offset until a call began before
          that day, and keep those that began in it.
        - For each that was connected read what was said with `get_transcript`, and go on with next_after_turn where
          there is more.
        - Note for each: who called whom, how it ended, the outcome in a sentence, what either side promised and until
          when, and whether somebody wants to be called back.
        """,
        report="""
        how many calls there were, in and out, and how many were not answered. Then a table: time, who, direction, how
        it ended, outcome. Then the promises that are open, ours and theirs, and who wants a call back, with number,
        time and reason. Quote where it matters. No calls on that day is an answer too.
        """,
    )


def silent_webhook(agent_id: SilentAgentId = None) -> str:
    """Find out why a webhook gets no events, or why callers hear nothing."""
    whose = "with agent_id" if agent_id else "for the project"
    return render_prompt(
        task="""
        Find out why a webhook is silent. Nothing is spent. One step sends a test event to your user's server, so ask
        before it. Change nothing without your user's yes.
        """,
        given={"agent_id": agent_id},
        rules="- Say what you saw, and keep it apart from what you suspect." + UNTRUSTED,
        steps=f"""
        - Look {whose} at `get_webhook`. {_FALLS_BACK if agent_id else _ONLY_ONE}
        - Look with {"`get_agent`" if agent_id else "`list_agents`"} at voice_mode and numbers. In hosted mode the
          built-in AI does the talking and no webhook is asked what to say; without a number nobody can call.
        - Count with `get_webhook_stats` and read with `list_webhook_deliveries`, hours 24, of the webhook in question.
        - No deliveries: see with `list_calls` whether there were any calls at all. Calls and no deliveries: another
          webhook got them, or it was set only afterwards.
        - Failed ones, by http_status and error: 401 or 403, the server checks signatures with an old secret, as a
          webhook that is set anew gets a new one; 404 or 405, a wrong path or no POST; 5xx, a crash, so read the
          server's log; a time-out, it is too slow or was asleep; no http_status, nobody listens there or the
          certificate is bad.
        - All delivered and the caller still hears nothing: the answer is at fault. A voice turn wants one JSON object
          with text, such as {{"text": "Hello"}}, or lines of such objects as application/x-ndjson; a bare string, a
          list or an empty body is silence. Slow work wants a first line with interim true at once.
        - With your user's yes send it a test event with `test_webhook`, and read `list_webhook_deliveries` again.
        """,
        report="""
        the cause in one sentence, or the likeliest ones where it was not seen; the deliveries that show it, with time,
        status and error; what to change on the server or in the settings, and how to see that it worked.
        """,
    )


REVIEW_CALLS = Workflow(review_calls, "Review a day's calls", frozenset({"list_calls", "get_transcript"}))
SILENT_WEBHOOK = Workflow(
    silent_webhook,
    "Find out why a webhook is silent",
    frozenset(
        {
            "get_webhook",
            "get_agent",
            "list_agents",
            "get_webhook_stats",
            "list_webhook_deliveries",
            "list_calls",
            "test_webhook",
        }
    ),
)
