"""The route for event commands."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from slipway.api.bodies.events import CommandFrame
from slipway.api.endpoints import Endpoint
from slipway.api.event_commands import CommandContext, execute_command
from slipway.api.idempotent_ids import idempotent_id
from slipway.api.request_parsing import parsed, path_id, validated
from slipway.api.responses import JsonResponse
from slipway.api.shared_objects import services_of
from slipway.api.streams.command_responses import command_error_response
from slipway.api.streams.event_access import COMMAND_ACCESS, authorize_read
from slipway.errors import InvalidRequest
from slipway.redis.shard_ids import run_id_on


async def post(request: Request) -> Response:
    """The response has status 200 also if the command failed, and its body then has the error. A body that is not a
    command gets 400."""
    services, thread_id = services_of(request), path_id(request, "thread_id")
    await authorize_read(request, thread_id)
    try:
        command = validated(CommandFrame, parsed(await request.body()))
    except InvalidRequest as error:
        return JsonResponse(command_error_response(None, "invalid_argument", str(error)) | {"detail": str(error)}, 400)
    run_id = run_id_on(thread_id, await idempotent_id(request))
    context = CommandContext(request, services, thread_id, run_id)
    return JsonResponse(await execute_command(context, command))


ENDPOINTS: Final = (
    Endpoint(
        "POST",
        "/threads/{thread_id}/commands",
        post,
        "Execute a command of the event protocol",
        COMMAND_ACCESS,
        body=CommandFrame,
    ),
)
