"""Which calls hand an agent's work over to another agent.

Law of this file: only names that a framework gives to its own hand-over tools count.
"""

from collections.abc import Mapping
from typing import Any, Final

_TOOLS: Final = frozenset(("transfer_to_agent", "handoff_to_agent"))
"""Google ADK and Strands swarms: the agent is an argument."""
_PREFIXES: Final = ("transfer_to_", "handoff_to_", "transfer_back_to_")
"""OpenAI Agents, LangGraph's supervisor and swarm: the agent is in the name."""


def handoff_of(name: str, arguments: Any) -> str:
    """The agent that a call hands over to, "" when it does not."""
    if name in _TOOLS:
        agent = arguments.get("agent_name") if isinstance(arguments, Mapping) else None
        return agent if isinstance(agent, str) else ""
    for prefix in _PREFIXES:
        if name.startswith(prefix):
            return name[len(prefix) :]
    return ""
