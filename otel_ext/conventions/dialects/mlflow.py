"""MLflow tracing: mlflow/tracing/constant.py.

Law of this file: every attribute's value is JSON, texts too.
"""

from collections.abc import Mapping
from typing import Final

from otel_ext.conventions.answers import answer_of
from otel_ext.conventions.dialect import Dialect
from otel_ext.conventions.dialects.otel_genai import put_answer
from otel_ext.conventions.messages import turns
from otel_ext.conventions.usage import read_details
from otel_ext.conventions.values import call_arguments, call_result, captured, decode, text_of
from otel_ext.span import Span
from otel_ext.step import Kind, Observation

NAME: Final = "mlflow"
_TYPE: Final = "mlflow.spanType"
_KINDS: Final = {
    "LLM": Kind.LLM,
    "CHAT_MODEL": Kind.LLM,
    "TOOL": Kind.TOOL,
    "AGENT": Kind.AGENT,
    "WORKFLOW": Kind.AGENT,
}


def kind_of(span: Span) -> Kind | None:
    """What the span is by `mlflow.spanType`, a JSON text."""
    if _TYPE not in span.attributes:
        return None
    return _KINDS.get(text_of(decode(span.attributes[_TYPE])).upper(), Kind.OTHER)


def read(span: Span, kind: Kind) -> Observation:
    """The span's values."""
    attributes = span.attributes
    found = Observation(kind=kind, dialect=NAME)
    given, gave = attributes.get("mlflow.spanInputs"), attributes.get("mlflow.spanOutputs")
    if kind is Kind.TOOL:
        found.name = text_of(decode(attributes.get("mlflow.spanFunctionName"))) or span.name
        found.arguments = call_arguments(given)
        found.result = call_result(decode(gave) if isinstance(gave, str) and gave[:1] == '"' else gave)
    elif kind is Kind.LLM:
        found.name = text_of(decode(attributes.get("mlflow.llm.model")))
        inputs = decode(given)
        if isinstance(inputs, Mapping):
            found.user_turns, found.user_turn = turns(inputs.get("messages"))
        put_answer(found, answer_of(decode(gave)))
        read_details(found, attributes.get("mlflow.chat.tokenUsage"))
    elif kind is Kind.AGENT:
        found.name = found.agent_name = span.name
        found.task, found.text = captured(decode(given)), captured(decode(gave))
    return found


DIALECT: Final = Dialect(
    NAME,
    "MLflow",
    "mlflow/mlflow, mlflow/tracing/constant.py",
    "`mlflow.spanType`",
    kind_of,
    read,
    (_TYPE.encode(),),
    marks=frozenset({_TYPE}),
)
