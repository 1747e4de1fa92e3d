"""Fakes that keep the contracts of the real things, and agents' runs in a few words.

Shipped for tests, imported by nothing in the package.
"""

from otel_ext.testing.agentrun import AgentRun
from otel_ext.testing.arrivals import detect, in_order, request, steps_of
from otel_ext.testing.clocks import ManualClock
from otel_ext.testing.crashable_file import CrashableDisk, CrashableFile
from otel_ext.testing.crashable_files import CrashableFiles
from otel_ext.testing.detector_check import check_detector
from otel_ext.testing.failing_files import FailingFile, FailingFiles
from otel_ext.testing.journals import content, overwrite, read_all
from otel_ext.testing.power import PowerCut
from otel_ext.testing.wrapping import WrappedFile, WrappedFiles

__all__ = [
    "AgentRun",
    "CrashableDisk",
    "CrashableFile",
    "CrashableFiles",
    "FailingFile",
    "FailingFiles",
    "ManualClock",
    "PowerCut",
    "WrappedFile",
    "WrappedFiles",
    "check_detector",
    "content",
    "detect",
    "in_order",
    "overwrite",
    "read_all",
    "request",
    "steps_of",
]
