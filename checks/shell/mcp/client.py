"""The official Python client lists and calls, over standard input and output, in both eras of the protocol.

usage: client.py OP_DBUS FIXTURE
"""

import asyncio
import sys

from mcp import Client, StdioServerParameters
from mcp.types import ElicitResult

ERAS = ["legacy", "2026-07-28"]


def holds(what, condition):
    print(f"{'ok     ' if condition else 'FAILED '} {what}")
    if not condition:
        sys.exit(1)


async def real(program, mode):
    """The product's server, in its own process."""
    server = StdioServerParameters(command=program, args=["--here", "mcp", "--profile", "safe"])
    async with Client(server, mode=mode, read_timeout_seconds=60) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        holds(f"{mode}: {len(tools)} tools are listed, none of which changes anything",
              10 < len(tools) <= 40 and all(tool.annotations.read_only_hint for tool in tools.values()))
        # The client checks the structured answer against the tool's schema by itself.
        info = await client.call_tool("host_info", {})
        holds(f"{mode}: a tool is called", not info.is_error and info.structured_content["kernel"]["name"] == "Linux")
        wrong = await client.call_tool("process_list", {"limit": "many"})
        holds(f"{mode}: wrong arguments are told to the model", wrong.is_error and "limit" in wrong.content[0].text)
        templates = await client.list_resource_templates()
        holds(f"{mode}: resources have templates", any(
            template.uri_template == "ledger://{id}" for template in templates.resource_templates))
        prompt = await client.get_prompt("find_why_unit_fails", {"unit": "x.service"})
        holds(f"{mode}: a prompt is filled in", "`x.service`" in prompt.messages[0].content.text)
    server = StdioServerParameters(command=program, args=["--here", "mcp", "--compact"])
    async with Client(server, mode=mode, read_timeout_seconds=60) as client:
        found = await client.call_tool("tool_search", {"query": "list processes"})
        names = [tool["name"] for tool in found.structured_content["tools"]]
        holds(f"{mode}: compact mode finds a tool", "process_list" in names)
        done = await client.call_tool("tool_execute", {"name": "process_list", "arguments": {"limit": 1}})
        holds(f"{mode}: compact mode calls it", len(done.structured_content["result"]["processes"]) == 1)


async def fixture(program, mode):
    """The same server code, with tools that take a confirmation and tell their progress."""
    answers = []

    async def answer(_context, params):
        asked = "loses data for good" in params.message
        return ElicitResult(action="accept", content={"apply": asked and answers[0]})

    steps = []

    async def told(progress, _total, _message):
        steps.append(progress)

    server = StdioServerParameters(command=program, args=[])
    async with Client(server, mode=mode, read_timeout_seconds=60, elicitation_callback=answer) as client:
        for confirmed in [True, False]:
            answers[:] = [confirmed]
            result = await client.call_tool("test_input_required_result_request_state", {})
            word = "done" if confirmed else "refused"
            holds(f"{mode}: what a person {'confirms' if confirmed else 'does not confirm'} is {word}",
                  result.is_error != confirmed)
        await client.call_tool("test_tool_with_progress", {}, progress_callback=told)
        holds(f"{mode}: progress increases: {steps}", len(steps) == 3 and steps == sorted(set(steps)))


async def main():
    program, tools = sys.argv[1:]
    for mode in ERAS:
        await real(program, mode)
        await fixture(tools, mode)


asyncio.run(main())
