"""Identity: of arguments, results and failures (digests), and of spans delivered twice (a window).

Law of this room: hashing is total and exact. Nothing raises whatever it is given, what differs in meaning
differs in hash, and every forgiving form (relaxed hashes, fingerprints) is a second value beside a strict
one, never instead of it.
"""

from otel_ext.dedup.arguments import CANONICALIZATION, LABELS, arguments_hash, canonical, relaxed_hash
from otel_ext.dedup.fingerprint import error_core, error_fingerprint
from otel_ext.dedup.results import relaxed_result_hash, result_hash, result_hashes, without_record
from otel_ext.dedup.window import DEFAULT_CAPACITY, Verdict, Window, block_range

__all__ = [
    "CANONICALIZATION",
    "DEFAULT_CAPACITY",
    "LABELS",
    "Verdict",
    "Window",
    "arguments_hash",
    "block_range",
    "canonical",
    "error_core",
    "error_fingerprint",
    "relaxed_hash",
    "relaxed_result_hash",
    "result_hash",
    "result_hashes",
    "without_record",
]
