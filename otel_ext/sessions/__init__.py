"""Session identity, state, files and the catalog.

A session is what the producers' attributes call one (`conventions.session_of`), or a trace of its own.
Its spans lie in files of its own, append only (`streams`, with `pool` and `leftovers`); what is known of it
are facts that only grow, and its state follows from them (`state`). The catalog holds both, and the
checkpoint, in one SQLite file (`catalog`, its files in `stock`). Sealed files are told to the manifest
(`manifest`, `facts`), compressed (`pack`) and removed, all by the `keeper` as its `policy` says.
"""

from otel_ext.sessions import facts
from otel_ext.sessions.audit import ManifestReport
from otel_ext.sessions.catalog import Catalog
from otel_ext.sessions.checkpoint import COUNTS, Checkpoint, FileRow, FileState
from otel_ext.sessions.facts import Fact
from otel_ext.sessions.keeper import FULL, Keeper
from otel_ext.sessions.manifest import NAME as MANIFEST
from otel_ext.sessions.manifest import Manifest, Place
from otel_ext.sessions.manifest import encode as encode_fact
from otel_ext.sessions.manifest import read as read_manifest
from otel_ext.sessions.names import PACKED, Name, file_name, parse_name, session_of, stem
from otel_ext.sessions.pack import codec
from otel_ext.sessions.policy import Policy
from otel_ext.sessions.reading import committed_bytes, committed_lines
from otel_ext.sessions.state import Session, State, Trace
from otel_ext.sessions.stock import NOTHING
from otel_ext.sessions.streams import Streams

__all__ = [
    "COUNTS",
    "FULL",
    "MANIFEST",
    "NOTHING",
    "PACKED",
    "Catalog",
    "Checkpoint",
    "Fact",
    "FileRow",
    "FileState",
    "Keeper",
    "Manifest",
    "ManifestReport",
    "Name",
    "Place",
    "Policy",
    "Session",
    "State",
    "Streams",
    "Trace",
    "codec",
    "committed_bytes",
    "committed_lines",
    "encode_fact",
    "facts",
    "file_name",
    "parse_name",
    "read_manifest",
    "session_of",
    "stem",
]
