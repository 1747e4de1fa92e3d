"""Pydantic-AI with its own instrumentation."""

import asyncio

from opentelemetry.sdk.trace import TracerProvider
from pydantic_ai import Agent, ModelRetry
from pydantic_ai.models.instrumented import InstrumentationSettings
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from tests.frameworks import tools
from tests.frameworks.telling import Ask, tell


def book_flight(flight: str, seat: str) -> str:
    """Book a seat.

    Args:
        flight: which flight.
        seat: which seat.
    """
    try:
        return tools.book_flight(flight, seat)
    except ValueError as error:
        raise ModelRetry(str(error)) from error  # as this framework's tools fail when the run shall go on


def prepare(url: str, provider: TracerProvider) -> Ask:
    """An agent of this framework."""
    Agent.instrument_all(InstrumentationSettings(tracer_provider=provider))

    async def streamed(agent: Agent) -> object:
        async with agent.run_stream(tools.TASK) as run:
            return await run.get_output()

    def ask(name: str) -> object:
        model = OpenAIChatModel(name, provider=OpenAIProvider(base_url=url, api_key="none"))
        agent = Agent(
            model, name="travel", tools=[tools.find_flights, tools.job_status, book_flight], retries=10
        )
        if name == "streamed":
            return asyncio.run(streamed(agent))
        return agent.run_sync(tools.TASK).output

    return ask


if __name__ == "__main__":
    tell("pydantic-ai", prepare)
