"""A consumer app: it binds a user to an agent, sends a message and waits for the reply.

The package `agent_factory_client` is generated from the OpenAPI document:
openapi-python-client generate --path docs/openapi.json --meta none --output-path agent_factory_client
"""

import os

from agent_factory_client import AuthenticatedClient
from agent_factory_client.api.bindings import bind_user_agent
from agent_factory_client.api.messages import get_user_message, send_message_to_user_agent
from agent_factory_client.api.users import get_user_agents_overview
from agent_factory_client.models import (
    BindUserAgentRequest,
    SendMessageToUserAgentAnswer,
    SendMessageToUserAgentRequest,
    UserMessage,
    UserMessageStatus,
)

# How long one call waits for the end of a message, in milliseconds.
WAIT_MS = 20_000
# The most calls that wait for one message: two minutes.
MAX_WAITS = 6
# Longer than a call waits, in seconds.
TIMEOUT = 30

client = AuthenticatedClient(
    base_url=os.environ["AGENT_FACTORY_API_URL"],
    token=os.environ["AGENT_FACTORY_API_KEY"],
    timeout=TIMEOUT,
)


def ask(user: str, agent: str, key: str, content: str) -> str:
    """Sends a text to the agent of a user, and returns the reply. `key` makes a repeated call have no second effect."""
    sent = send_message_to_user_agent.sync(
        user, agent, client=client, body=SendMessageToUserAgentRequest(content=content), idempotency_key=key
    )
    if not isinstance(sent, SendMessageToUserAgentAnswer):
        raise RuntimeError(f"the message was refused: {sent}")
    for _ in range(MAX_WAITS):
        message = get_user_message.sync(user, sent.message_id, client=client, wait_ms=WAIT_MS)
        if not isinstance(message, UserMessage):
            raise RuntimeError(f"the message cannot be read: {message}")
        if message.status == UserMessageStatus.DONE:
            return str(message.reply)
        if message.status not in (UserMessageStatus.QUEUED, UserMessageStatus.PROCESSING):
            raise RuntimeError(f"message {sent.message_id} ended as {message.status}: {message.last_error}")
    raise RuntimeError(f"message {sent.message_id} still waits")


def main() -> None:
    user, agent = "ann-py", "support"
    bind_user_agent.sync(user, client=client, body=BindUserAgentRequest(agent_key=agent))
    print(ask(user, agent, "python-1", "Where is my order?"))
    overview = get_user_agents_overview.sync(user, client=client)
    print(f"active: {overview.active_agent_key}, of {len(overview.agents)}")
    blank = send_message_to_user_agent.sync_detailed(
        user, agent, client=client, body=SendMessageToUserAgentRequest(content="")
    )
    print(f"error: {blank.status_code.value} {blank.parsed.code}")


if __name__ == "__main__":
    main()
