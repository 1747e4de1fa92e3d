"""The OpenAI Agents SDK with OpenInference's instrumentation."""

import asyncio

from agents import Agent, OpenAIProvider, RunConfig, Runner, function_tool
from openinference.instrumentation.openai_agents import OpenAIAgentsInstrumentor
from opentelemetry.sdk.trace import TracerProvider

from tests.frameworks.telling import Ask, tell
from tests.frameworks.tools import TASK, book_flight, find_flights, job_status


def prepare(url: str, provider: TracerProvider) -> Ask:
    """An agent of this framework."""
    OpenAIAgentsInstrumentor().instrument(tracer_provider=provider)
    models = OpenAIProvider(base_url=url, api_key="none", use_responses=True)
    tools = [function_tool(tool) for tool in (find_flights, job_status, book_flight)]

    runner = asyncio.Runner()  # one loop for all: the SDK's HTTP client belongs to the first that uses it

    async def run(agent: Agent, *, stream: bool) -> object:
        config = RunConfig(model_provider=models)
        if not stream:
            return (await Runner.run(agent, TASK, max_turns=20, run_config=config)).final_output
        going = Runner.run_streamed(agent, TASK, max_turns=20, run_config=config)
        async for _ in going.stream_events():
            pass
        return going.final_output

    def ask(model: str) -> object:
        agent = Agent(name="travel", instructions="Help.", model=model, tools=[*tools])
        return runner.run(run(agent, stream=model == "streamed"))

    return ask


if __name__ == "__main__":
    tell("openai-agents", prepare)
