"""The OTLP checklist, item by item, over the wire, against otel_ext and the OpenTelemetry Collector."""
