"""CrewAI's own anonymous telemetry: crewai/telemetry/telemetry.py.

Law of this file: it tells of calls that other spans hold (OpenInference, OpenLLMetry), so none of it counts.
"""

from typing import Final

from otel_ext.conventions.dialect import Dialect
from otel_ext.span import Span
from otel_ext.step import Kind

NAME: Final = "crewai"


def kind_of(span: Span) -> Kind | None:
    """Structure, whatever it says."""
    return Kind.OTHER if span.scope == "crewai.telemetry" else None


DIALECT: Final = Dialect(
    NAME,
    "CrewAI's own telemetry",
    "crewAIInc/crewAI, crewai/telemetry/telemetry.py",
    "scope `crewai.telemetry`; recognised so that it is *not* counted",
    kind_of,
    within=("crewai.telemetry",),
)
