"""The catalog made anew, from the manifest, the files and the journal.

Law of this part of the room: what was acknowledged is found in one of the three, once. `run` is the order
of things; `manifest` tells the manifest to a new catalog and finds the files it does not speak of, `files`
reads stored spans back, `sessions` counts one session's, `journal` and `journallogs` find what the journal
holds and no file does, and `ledger` balances what was told against what was found.
"""

from otel_ext.pipeline.reindex.run import NAME, Reindexed, reindex

__all__ = ["NAME", "Reindexed", "reindex"]
