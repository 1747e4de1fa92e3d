"""OTLP/JSON by Google's protobuf JSON mapping plus hex ids: written without a line of otel_ext.

Law of this file: nothing of otel_ext is imported; it is the second opinion on what our files mean.
"""

import base64
from collections.abc import Callable, Iterator
from typing import Any, Final

from google.protobuf.json_format import MessageToDict, ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

_IDS: Final = ("traceId", "spanId", "parentSpanId")


def _carriers(tree: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for group in tree.get("resourceSpans") or []:
        for scope in group.get("scopeSpans") or []:
            for span in scope.get("spans") or []:
                yield span
                yield from span.get("links") or []


def _recode(tree: dict[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    for carrier in _carriers(tree):
        for key in _IDS:
            if isinstance(carrier.get(key), str):
                carrier[key] = change(carrier[key])
    return tree


def encode(body: bytes) -> dict[str, Any]:
    """An encoded trace request as an OTLP/JSON object."""
    tree: dict[str, Any] = MessageToDict(
        ExportTraceServiceRequest.FromString(body), use_integers_for_enums=True
    )
    return _recode(tree, lambda text: base64.b64decode(text).hex())


def decode(tree: dict[str, Any]) -> TracesData:
    """An OTLP/JSON object, changed in place, as protobuf; keys that OTLP does not know are ignored."""
    data = TracesData()
    ParseDict(_recode(tree, lambda text: base64.b64encode(bytes.fromhex(text)).decode()), data, True)
    return data
