"""The official Python client lists, calls and is refused over HTTP, in both eras of the protocol.

usage: client.py URL, with the token of a viewer on standard input
"""

import asyncio
import sys

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client


def holds(what, condition):
    print(f"{'ok     ' if condition else 'FAILED '} {what}")
    if not condition:
        sys.exit(1)


async def main():
    url, token = sys.argv[1], sys.stdin.readline().strip()
    for mode in ["legacy", "2026-07-28"]:
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx2.AsyncClient(headers=headers, timeout=30) as http:
            transport = streamable_http_client(url, http_client=http)
            async with Client(transport, mode=mode, read_timeout_seconds=30) as client:
                tools = (await client.list_tools()).tools
                holds(f"{mode}: {len(tools)} tools are listed", any(tool.name == "state_status" for tool in tools))
                status = await client.call_tool("state_status", {})
                holds(f"{mode}: a tool is called", not status.is_error and "base" in status.structured_content)
                wrong = await client.call_tool("process_list", {"limit": "many"})
                holds(f"{mode}: wrong arguments are told to the model", wrong.is_error)
        async with httpx2.AsyncClient(headers={"Authorization": "Bearer wrong"}, timeout=30) as http:
            refused = await http.post(url, json={})
            holds(f"{mode}: without the token nothing is", refused.status_code == 401)


asyncio.run(main())
