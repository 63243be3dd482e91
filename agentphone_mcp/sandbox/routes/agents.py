"""Manage agents, and the numbers attached to them."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agentphone_mcp.sandbox.context import SandboxContext, context_of
from agentphone_mcp.sandbox.data.models import Agent
from agentphone_mcp.sandbox.data.voices import VOICES
from agentphone_mcp.sandbox.http.agent_settings import CHANGES, DEFAULTS, FIELDS, merge_settings
from agentphone_mcp.sandbox.http.validation import Field, paging, read_body, read_query, text
from agentphone_mcp.sandbox.responses import Json, RefusalError, created, ok, page, stamp
from agentphone_mcp.sandbox.routes.calls import call_json, newest_calls
from agentphone_mcp.sandbox.routes.messages import conversation_json, newest_conversations
from agentphone_mcp.sandbox.routes.numbers import attached_json


def _agent_json(context: SandboxContext, agent: Agent) -> Json:
    numbers = [attached_json(number) for number in context.numbers_of(agent.id)]
    return {
        "id": agent.id,
        **agent.settings,
        "customTools": None,
        "callScreeningIdentity": None,
        "callScreeningPurpose": None,
        "createdAt": stamp(agent.created_at),
        "numbers": numbers,
        "phoneNumbers": numbers,
    }


async def list_agents(request: Request) -> Response:
    """GET /v1/agents."""
    context = context_of(request)
    query = read_query(request, paging())
    return ok(page(context.account.agents.values(), query, lambda agent: _agent_json(context, agent)))


async def create_agent(request: Request) -> Response:
    """POST /v1/agents."""
    context = context_of(request)
    settings = merge_settings(DEFAULTS, await read_body(request, FIELDS))
    agent = Agent(context.account.ids.new("agt"), settings, context.clock.now())
    context.account.agents[agent.id] = agent
    return created(_agent_json(context, agent))


async def list_voices(_: Request) -> Response:
    """GET /v1/agents/voices: all of them at once."""
    return ok({"data": VOICES})


async def get_agent(request: Request) -> Response:
    """GET /v1/agents/{id}."""
    context = context_of(request)
    return ok(_agent_json(context, context.agent(request.path_params["agent_id"])))


async def update_agent(request: Request) -> Response:
    """PATCH /v1/agents/{id}: only the given fields change."""
    context = context_of(request)
    agent = context.agent(request.path_params["agent_id"])
    agent.settings = merge_settings(agent.settings, await read_body(request, CHANGES))
    return ok(_agent_json(context, agent))


async def delete_agent(request: Request) -> Response:
    """DELETE /v1/agents/{id}: its numbers stay, unassigned; its history stays too."""
    context = context_of(request)
    agent = context.agent(request.path_params["agent_id"])
    unassigned = context.numbers_of(agent.id)
    for number in unassigned:
        number.attach(None, context.clock.now())
    del context.account.agents[agent.id]
    return ok(
        {
            "success": True,
            "message": "Agent deleted",
            "unassignedNumbers": [number.id for number in unassigned],
            "id": agent.id,
            "name": agent.name,
        }
    )


async def attach_number(request: Request) -> Response:
    """POST /v1/agents/{id}/numbers: a number attached elsewhere moves here, it belongs to one agent."""
    context = context_of(request)
    agent = context.agent(request.path_params["agent_id"])
    body = await read_body(request, {"numberId": Field(text(1), required=True)})
    number = context.number(body["numberId"])
    number.attach(agent.id, context.clock.now())
    return ok({"agentId": agent.id, "number": attached_json(number)})


async def detach_number(request: Request) -> Response:
    """DELETE /v1/agents/{id}/numbers/{numberId}: the number stays in the account."""
    context = context_of(request)
    agent = context.agent(request.path_params["agent_id"])
    number = context.number(request.path_params["number_id"])
    if number.agent_id != agent.id:
        raise RefusalError(404, f"'{number.id}' is not attached to '{agent.id}'.", "PHONE_NUMBER_NOT_FOUND")
    number.attach(None, context.clock.now())
    return ok({"success": True, "agentId": agent.id, "numberId": number.id})


async def list_agent_calls(request: Request) -> Response:
    """GET /v1/agents/{id}/calls, newest first."""
    context = context_of(request)
    agent = context.agent(request.path_params["agent_id"])
    calls = [call for call in newest_calls(context) if call.agent_id == agent.id]
    return ok(page(calls, read_query(request, paging()), lambda call: call_json(request, call)))


async def list_agent_conversations(request: Request) -> Response:
    """GET /v1/agents/{id}/conversations, the latest first."""
    context = context_of(request)
    agent = context.agent(request.path_params["agent_id"])
    conversations = [each for each in newest_conversations(context) if each.agent_id == agent.id]
    return ok(page(conversations, read_query(request, paging()), conversation_json))


routes = [
    Route("/v1/agents", list_agents, methods=["GET"]),
    Route("/v1/agents", create_agent, methods=["POST"]),
    Route("/v1/agents/voices", list_voices, methods=["GET"]),
    Route("/v1/agents/{agent_id}", get_agent, methods=["GET"]),
    Route("/v1/agents/{agent_id}", update_agent, methods=["PATCH"]),
    Route("/v1/agents/{agent_id}", delete_agent, methods=["DELETE"]),
    Route("/v1/agents/{agent_id}/numbers", attach_number, methods=["POST"]),
    Route("/v1/agents/{agent_id}/numbers/{number_id}", detach_number, methods=["DELETE"]),
    Route("/v1/agents/{agent_id}/calls", list_agent_calls, methods=["GET"]),
    Route("/v1/agents/{agent_id}/conversations", list_agent_conversations, methods=["GET"]),
]
