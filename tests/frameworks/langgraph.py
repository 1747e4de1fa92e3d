"""LangGraph with LangChain's model and tools, by OpenInference's instrumentation of LangChain."""

from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from openinference.instrumentation.langchain import LangChainInstrumentor
from opentelemetry.sdk.trace import TracerProvider

from tests.frameworks.telling import Ask, tell
from tests.frameworks.tools import TASK, book_flight, find_flights, job_status


def agent(url: str) -> Ask:
    """An agent of this framework: a model, its tools, and the edges between them."""
    tools = [tool(each) for each in (find_flights, job_status, book_flight)]

    def ask(name: str) -> object:
        model = ChatOpenAI(model=name, base_url=url, api_key="none", use_responses_api=False).bind_tools(
            tools
        )

        def think(state: MessagesState) -> dict[str, object]:
            return {"messages": [model.invoke(state["messages"])]}

        graph = StateGraph(MessagesState)
        graph.add_node("think", think)
        graph.add_node("tools", ToolNode(tools, handle_tool_errors=True))
        graph.add_edge(START, "think")
        graph.add_conditional_edges("think", tools_condition)
        graph.add_edge("tools", "think")
        given = {"messages": [("user", TASK)]}
        return graph.compile().invoke(given, {"recursion_limit": 50})["messages"][-1].content

    return ask


def prepare(url: str, provider: TracerProvider) -> Ask:
    """The agent, instrumented."""
    LangChainInstrumentor().instrument(tracer_provider=provider)
    return agent(url)


if __name__ == "__main__":
    tell("langgraph", prepare)
