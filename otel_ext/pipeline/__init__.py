"""The engine: intake -> journal -> process -> outputs -> checkpoint.

`engine` owns the data folder and its threads; `intake` makes a request durable and nothing else; `consumer`
is the one reader of the journal; `process` is the fold that gives records their meaning, with `spans` (a
request read), `meaning` (a span as a Step), `hold` (spans without a session yet), `reorder` (steps in the
order of their times), `members` (traces, sessions, generations), `unfinished` and `guard` (how sessions
end), `detect` (the detectors at work) and `lines` (spans into lines) as its parts, and `logs` for logs and
metrics. `outputs` is what stands behind the fold (session files, checkpoint, manifest), `outbox` what goes
out, `reserve` its disk space; `adoption` finishes what dead processes left, `verify` (with `filecheck`) reads
every byte, `repair` sets aside what it finds, and `reindex` makes the catalog anew; `view` says how an engine
stands. The same engine runs in the sidecar, in an agent's process and in `otel-ext replay`.
"""

from otel_ext.pipeline.admission import BUDGETS, REFUSED
from otel_ext.pipeline.adoption import adopt, orphans
from otel_ext.pipeline.engine import Engine
from otel_ext.pipeline.folder import OWNER, EngineFolder
from otel_ext.pipeline.intake import Accepted, Intake
from otel_ext.pipeline.ledger import Ledger
from otel_ext.pipeline.logs import time_of
from otel_ext.pipeline.original import crashes, original
from otel_ext.pipeline.outbox import Batch, Destination, Feed, Outbox, Outcome, Part, Tally
from otel_ext.pipeline.reindex import Reindexed, reindex
from otel_ext.pipeline.repair import Repaired, repair
from otel_ext.pipeline.settings import IN_PROCESS, EngineSettings
from otel_ext.pipeline.verify import check_engine
from otel_ext.pipeline.view import View

__all__ = [
    "BUDGETS",
    "IN_PROCESS",
    "OWNER",
    "REFUSED",
    "Accepted",
    "Batch",
    "Destination",
    "Engine",
    "EngineFolder",
    "EngineSettings",
    "Feed",
    "Intake",
    "Ledger",
    "Outbox",
    "Outcome",
    "Part",
    "Reindexed",
    "Repaired",
    "Tally",
    "View",
    "adopt",
    "check_engine",
    "crashes",
    "original",
    "orphans",
    "reindex",
    "repair",
    "time_of",
]
