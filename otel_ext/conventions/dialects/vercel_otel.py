"""Vercel AI SDK 7 and later, package @ai-sdk/otel: the semantic conventions.

Law of this file: read as the semantic conventions; names of metrics in seconds serve as attributes.
"""

from typing import Final

from otel_ext.conventions.dialects.flavours import flavour

_MARKS: Final = frozenset(("gen_ai.client.operation.duration", "gen_ai.execute_tool.duration"))

DIALECT: Final = flavour(
    "vercel_otel",
    "Vercel AI SDK, @ai-sdk/otel (7)",
    "vercel/ai, packages/otel",
    "the semantic conventions with `gen_ai.client.operation.duration` or `gen_ai.execute_tool.duration` "
    "as attributes",
    lambda span: not _MARKS.isdisjoint(span.attributes),
    marks=_MARKS,
)
