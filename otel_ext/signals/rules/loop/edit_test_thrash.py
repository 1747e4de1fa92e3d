"""loop.edit_test_thrash: a file is edited, the same check fails in the same way, again and again.

Law of this file: a check that fails otherwise is progress, and one that passes ends it. Only checks that were
run after an edit count, for the file that was edited: running a test twice is `loop.error_repeat`'s.
"""

from typing import Final

from otel_ext.signals.findings.episodes import add, advance, close, find, held, keep
from otel_ext.signals.findings.explain import over, quoted
from otel_ext.signals.hears import ABOUT, WRITE, Hears
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.rule import Call, Context, Limits, Rule
from otel_ext.signals.settings import Levels
from otel_ext.step import Effect

PATH: Final = "OTX-L011/path"
"""Table: one file, with the check that fails after its edits."""

EDITED: Final = "OTX-L011/edited"
"""Ring: the files edited since the last check."""

MOST_EDITED: Final = 8
"""Files edited between two checks that are remembered."""

_WRITE = Effect.WRITE


class EditTestThrashLimits(Limits, frozen=True):
    """When edits that do not change what a check says are a loop.

    Attributes:
        rounds: checks that failed alike, each after another edit of one file.
    """

    rounds: Levels = Levels(warning=3, error=6)


class EditTestThrash(Rule[EditTestThrashLimits]):
    """Edits of one file, each followed by the same test, build or linter failing in the very same way."""

    id = "OTX-L011"
    signal = "loop.edit_test_thrash"
    react = "The edits miss the cause: have the agent read the failure and the code it names before it edits."
    guards = (
        "the same command, the same failure (times and addresses apart)",
        "the same file was edited before each of the failures",
        "another failure, or a pass, starts anew",
        "failures that pass by themselves, and those without text, do not count",
    )
    origin = "New Relic's preflight (edit and failing test, 3 for a file); ours asks for the same failure."
    per_turn = False
    hears = Hears(ABOUT, after=WRITE)

    def call(self, context: Context, call: Call) -> None:
        """Remember an edit; count a check that fails after one."""
        step = call.step
        if (subject := step.subject) is None:
            return
        if step.effect is _WRITE and not subject.verifies:
            if not step.error and subject.resource is not None and not subject.unchanged:
                ring = context.lane.rings.setdefault(EDITED, [])
                if subject.resource not in ring:
                    ring.append(subject.resource)
                    del ring[:-MOST_EDITED]
            return
        if not subject.verifies or not call.key:
            return
        told = step.error and step.error_hash is not None and not step.vague and not step.transient
        failure = step.error_hash if told else None
        for key, track in held(context.lane, PATH):
            if track.arguments_hash == step.arguments_hash and track.value != failure:
                close(self, context, PATH, key, "recovered")
        edited = context.lane.rings.pop(EDITED, [])
        for path in edited if failure is not None else ():
            self._failed(context, call, path, failure or b"")

    def _failed(self, context: Context, call: Call, path: bytes, failure: bytes) -> None:
        track = find(context, PATH, path)
        if track is not None and track.arguments_hash != call.step.arguments_hash:
            close(self, context, PATH, path, "recovered")
            track = None
        if track is None:
            track = keep(self, context, PATH, path, Track(tool=call.tool, value=failure))
        if add(context, PATH, path, track, call):
            severity = self.limits.rounds.severity(track.count)
            advance(self, context, PATH, path, track, severity=severity, confidence="confirmed")

    def thresholds(self, track: Track) -> dict[str, int]:
        """Failing checks per severity."""
        return self.limits.rounds.as_dict()

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        return (
            f"One file was edited {track.count} times{over(track.end - track.start)} and the same check "
            f"failed after each edit with the same error{quoted(track.error_text)}; the edits miss the "
            "cause, so have the agent look at the failure first"
        )
