"""The outbox: what goes out, in the journal's order, and how far each destination has come.

Law of this room's part: what goes out for a record is a function of the journal (law L7), so only what
differs from "the record's request, as it is" is kept: spans left out because they were re-deliveries, marks
and repaired times, and what the engine itself has to say (`entry`). A destination's place is a position in
the journal in a small file of its own (`cursor`); a `feed` reads on from it, batch by batch, and may be
slower than the pipeline by its budget of bytes. What a destination refuses for good is kept in a file
(`refused`). No sockets here: those are in `exporters`.
"""

from otel_ext.pipeline.outbox.batch import Batch, Outcome, Part
from otel_ext.pipeline.outbox.cursor import Tally
from otel_ext.pipeline.outbox.entry import Edits, Entry
from otel_ext.pipeline.outbox.feed import Feed
from otel_ext.pipeline.outbox.outbox import Destination, Outbox

__all__ = ["Batch", "Destination", "Edits", "Entry", "Feed", "Outbox", "Outcome", "Part", "Tally"]
