"""Write the prompt that sets up an agent and its number for incoming calls."""

from typing import Annotated

from pydantic import Field

from agentphone_mcp.features.prompts.arguments import AnsweredBy, AreaCode, FreeText, Name, TransferNumber, WebhookUrl
from agentphone_mcp.features.prompts.workflow import GATE, UNTRUSTED, Workflow, render_prompt
from agentphone_mcp.policy.errors import Refused

_WEBHOOK = """
    - Call `set_webhook` with url and agent_id. Its secret is shown once, so have your user keep it. confirm is needed
      only if it takes events from another webhook, and is then the URL of that one.
    - Call `test_webhook` with agent_id; go on only when it was answered with success.
"""


def set_up_support_line(
    name: Annotated[Name, Field(description="Of the agent, such as Acme Support")],
    knowledge: Annotated[FreeText, Field(description="What the agent is there for and must know")],
    greeting: Annotated[FreeText, Field(description="Its first words on each call")],
    answered_by: AnsweredBy = "hosted",
    webhook_url: WebhookUrl = None,
    transfer_number: TransferNumber = None,
    area_code: AreaCode = None,
) -> str:
    """Set up a phone line that an agent answers day and night."""
    is_webhook = answered_by == "webhook"
    if is_webhook and not webhook_url:
        raise Refused(
            "set_up_support_line was not run. Fill in webhook_url: with webhook your server does the talking."
        )
    if webhook_url and not is_webhook:
        raise Refused("set_up_support_line was not run. A webhook_url goes with answered_by webhook only.")
    replaced = ", and so they are before a webhook that is there already is replaced" if is_webhook else ""
    transferring = ", transfer_number" if transfer_number else ""
    human = "hand over to a human" if transfer_number else "take a message, as there is no human to hand over to"
    where = " and the area_code" if area_code else ""
    return render_prompt(
        task=f"""
        Set up a phone line that an agent answers. To make the agent costs nothing. Before a number is bought your user
        sees what it costs and is asked{replaced}.
        """,
        given={
            "name": name,
            "knowledge": knowledge,
            "greeting": greeting,
            "answered_by": answered_by,
            "webhook_url": webhook_url,
            "transfer_number": transfer_number,
            "area_code": area_code,
        },
        rules=GATE + UNTRUSTED,
        steps=f"""
        - Look with `list_agents` whether such an agent is there already, and with `list_numbers` whether a number is
          free. If the agent exists, ask your user whether to go on with it.
        - Call `create_agent` with voice_mode {answered_by}, begin_message as the greeting{transferring} and a
          system_prompt that you write from what was filled in: what to help with, what it does not know and must not
          promise, when to {human}.
        - A number that is free: ask your user, then `attach_number`. None free: call `buy_number` with the new
          agent_id{where} without confirm, show the preview, and after a yes call it again with confirm=true.
        {_WEBHOOK if is_webhook else ""}
        - Check with `get_agent` that it has its number, and ask your user to call it and say a few words.
        - When they have called, find the call with `list_calls` by agent_id and read it with `get_transcript`.
        """,
        report="""
        the number to call, who answers it and how, what it cost and costs every month, and what was heard in the first
        call. Say what was not tried. A US number takes calls at once, and may send texts only after its 10DLC
        registration.
        """,
    )


SET_UP_SUPPORT_LINE = Workflow(
    set_up_support_line,
    "Set up a support line",
    frozenset(
        {
            "list_agents",
            "list_numbers",
            "create_agent",
            "attach_number",
            "buy_number",
            "set_webhook",
            "test_webhook",
            "get_agent",
            "list_calls",
            "get_transcript",
        }
    ),
)
