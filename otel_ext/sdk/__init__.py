"""The engine inside an agent's own process: a span processor and an exporter.

    processor  AgentSpanProcessor: spans into the journal as they start and end
    exporter   FileSpanExporter: the same for what a stock processor exports
    recorder   one data folder's engine in this process; `registry` says who shares it
    handover   directly into the journal, or by the `queue` while the disk is not willing
    keeper     the thread that opens, retries, flushes and closes
    live       spans that began and have not ended
    encode     SDK spans as wire bytes; `wire` attributes and values
    hooks      uncaught exceptions and the end of the process; `fatal` signals; `reasons` their words;
               `marks` what a program may say itself
    derived    findings as SDK spans for any exporter
    settings   keywords, environment, defaults; `variables` their names; `entry` what auto-instrumentation
    calls

Law of this room (L11): in someone else's process we are guests. Nothing here raises into the program, waits
for a slow disk beyond a bound, adds a logging handler or registers a distro. What the program hands over is
in the kernel's page cache before the call returns, so no death of the process loses it.

This module imports nothing: the entry points are loaded in every instrumented process, used or not.
"""
