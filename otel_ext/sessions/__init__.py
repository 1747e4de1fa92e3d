"""Session identity, state, files and the catalog.

A session is what the producers' attributes call one (`conventions.session_of`), or a trace of its own.
Its spans lie in files of its own, append only (`streams`); what is known of it are facts that only grow,
and its state follows from them (`state`); the catalog holds both, and the checkpoint, in one SQLite
file (`catalog`).
"""

from otel_ext.sessions.catalog import Catalog
from otel_ext.sessions.checkpoint import Checkpoint, FileRow
from otel_ext.sessions.names import file_name, parse_name, stem
from otel_ext.sessions.reading import committed_lines
from otel_ext.sessions.state import Session, State, Trace
from otel_ext.sessions.streams import Streams

__all__ = [
    "Catalog",
    "Checkpoint",
    "FileRow",
    "Session",
    "State",
    "Streams",
    "Trace",
    "committed_lines",
    "file_name",
    "parse_name",
    "stem",
]
