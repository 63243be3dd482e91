"""List all workflows, in the order in which hosts see them."""

from collections.abc import Iterable

from mcp.server.mcpserver.prompts import Prompt

from agentphone_mcp.features.prompts.outreach import CALL_AND_REPORT, QUALIFY_LEADS, REMIND_PARTICIPANTS
from agentphone_mcp.features.prompts.review import REVIEW_CALLS, SILENT_WEBHOOK
from agentphone_mcp.features.prompts.support_line import SET_UP_SUPPORT_LINE
from agentphone_mcp.features.prompts.workflow import Workflow
from agentphone_mcp.features.tools.declaration import Declared

WORKFLOWS: tuple[Workflow, ...] = (
    CALL_AND_REPORT,
    SET_UP_SUPPORT_LINE,
    QUALIFY_LEADS,
    REMIND_PARTICIPANTS,
    REVIEW_CALLS,
    SILENT_WEBHOOK,
)


def prompts_for(tools: Iterable[Declared]) -> list[Prompt]:
    """Return the prompts whose tools are all available."""
    names = {tool.name for tool in tools}
    return [workflow.prompt for workflow in WORKFLOWS if workflow.uses <= names]
