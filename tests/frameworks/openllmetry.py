"""LangGraph again, by OpenLLMetry's instrumentation of LangChain, which speaks another dialect."""

from opentelemetry.instrumentation.langchain import LangchainInstrumentor
from opentelemetry.sdk.trace import TracerProvider

from tests.frameworks.langgraph import agent
from tests.frameworks.telling import Ask, tell


def prepare(url: str, provider: TracerProvider) -> Ask:
    """The same agent."""
    LangchainInstrumentor().instrument(tracer_provider=provider)
    return agent(url)


if __name__ == "__main__":
    tell("langgraph", prepare)
