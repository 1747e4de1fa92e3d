"""The OpenAI Agents SDK with OpenInference's instrumentation."""

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

    def ask(model: str) -> object:
        agent = Agent(name="travel", instructions="Help.", model=model, tools=[*tools])
        config = RunConfig(model_provider=models)
        return Runner.run_sync(agent, TASK, max_turns=20, run_config=config).final_output

    return ask


if __name__ == "__main__":
    tell("openai-agents", prepare)
