"""Fakes that keep the contracts of the real things; shipped for tests, imported by nothing in the package."""

from otel_ext.testing.clocks import ManualClock
from otel_ext.testing.crashable_file import CrashableDisk, CrashableFile
from otel_ext.testing.crashable_files import CrashableFiles
from otel_ext.testing.failing_files import FailingFile, FailingFiles
from otel_ext.testing.journals import content, overwrite, read_all
from otel_ext.testing.power import PowerCut
from otel_ext.testing.wrapping import WrappedFile, WrappedFiles

__all__ = [
    "CrashableDisk",
    "CrashableFile",
    "CrashableFiles",
    "FailingFile",
    "FailingFiles",
    "ManualClock",
    "PowerCut",
    "WrappedFile",
    "WrappedFiles",
    "content",
    "overwrite",
    "read_all",
]
