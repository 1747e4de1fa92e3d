"""Durable OTLP traces for AI agents.

The tree, from the ground up (imports point down only, rooms on one floor are strangers):

    floor 0  errors clock span step stats files     the words every room uses
    floor 1  otlp conventions timestamps dedup      what bytes mean, one question a room
             signals journal sessions
    floor 2  pipeline                               intake -> journal -> process -> outputs -> checkpoint
    floor 3  receivers exporters sdk                doors
    floor 4  service cli                            configure, build, run; commands
    aside    testing                                fakes at the lowest seam, for us and for users
"""

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from otel_ext.sdk.exporter import FileSpanExporter as FileSpanExporter
    from otel_ext.sdk.marks import mark_crashed as mark_crashed
    from otel_ext.sdk.marks import mark_ended as mark_ended
    from otel_ext.sdk.processor import AgentSpanProcessor as AgentSpanProcessor

__version__ = "0.1.0"

__all__ = ["AgentSpanProcessor", "FileSpanExporter", "__version__", "mark_crashed", "mark_ended"]

_HOMES: Final = {
    "AgentSpanProcessor": "otel_ext.sdk.processor",
    "FileSpanExporter": "otel_ext.sdk.exporter",
    "mark_crashed": "otel_ext.sdk.marks",
    "mark_ended": "otel_ext.sdk.marks",
}


def __getattr__(name: str) -> Any:
    """What a program imports from here, loaded when it does; the command line never needs it."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
