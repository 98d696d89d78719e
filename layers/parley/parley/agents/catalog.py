"""The agents of a deployment, and which one a session has."""

from __future__ import annotations

from parley.agents.agent import Agent
from parley.storage.item_codec import Session


class AgentCatalog:
    """The agents of a deployment.

    Args:
        instructions: of the agent that the deployment's variables describe.
    """

    def __init__(self, instructions: str) -> None:
        self._default = Agent(instructions)

    def find_agent(self, session: Session) -> Agent:
        """Return the agent of a session."""
        return self._default
