"""The entry point `opentelemetry_post_instrument`: the span processor without a line of code.

Law of this file: without `OTEL_EXT_ENABLED=true` it does nothing and imports nothing, because
`opentelemetry-instrument` calls it in every process where this package is installed; and it never raises,
because that would leave the program untraced.
"""

import logging
import os

from otel_ext.sdk.variables import OTEL_EXT_ENABLED

_log = logging.getLogger("otel_ext.sdk")


def instrument() -> None:
    """Add an `AgentSpanProcessor` to the global tracer provider, once."""
    if os.environ.get(OTEL_EXT_ENABLED, "").strip().lower() not in {"true", "1", "yes", "on"}:
        return
    try:
        from opentelemetry import trace  # noqa: PLC0415 - see the law

        from otel_ext.sdk.processor import AgentSpanProcessor  # noqa: PLC0415

        provider = trace.get_tracer_provider()
        add = getattr(provider, "add_span_processor", None)
        if add is None:
            _log.warning(
                "otel_ext: %s is set but the tracer provider is none of the SDK; nothing is recorded",
                OTEL_EXT_ENABLED,
            )
        elif not getattr(provider, "_otel_ext_added", False):
            provider._otel_ext_added = True  # type: ignore[attr-defined]
            add(AgentSpanProcessor())
    except Exception as error:  # noqa: BLE001 - see the law
        _log.warning("otel_ext: nothing is recorded: %s: %s", type(error).__name__, error)
