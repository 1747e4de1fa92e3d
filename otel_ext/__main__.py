"""`python -m otel_ext` is `otel-ext`."""

from otel_ext.cli import main

main()
