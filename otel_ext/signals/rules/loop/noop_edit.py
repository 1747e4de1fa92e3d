"""loop.noop_edit: edits of a file that change nothing.

Law of this file: it needs evidence. The tool says that nothing changed, or the call's own old and new are
equal, or what is written is what this lane wrote there last and nothing else can have written since.
"""

from typing import Final

from otel_ext.signals.calls.written import together
from otel_ext.signals.findings.episodes import add, advance, close, find, held, keep
from otel_ext.signals.findings.explain import over
from otel_ext.signals.findings.finding import Confidence
from otel_ext.signals.hears import READ, WRITE, Hears
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.rule import Call, Context, Limits, Rule
from otel_ext.signals.settings import Levels
from otel_ext.step import Effect

PATH: Final = "OTX-L012/path"
"""Table: one file; its notes hold the content that it is known to have."""

_WRITE, _UNKNOWN = Effect.WRITE, Effect.UNKNOWN


class NoopEditLimits(Limits, frozen=True):
    """When edits that change nothing are a loop.

    Attributes:
        rounds: such edits of one file, with no real one between.
    """

    rounds: Levels = Levels(warning=2, error=5)


class NoopEdit(Rule[NoopEditLimits]):
    """Writes to one file after each of which it is what it was before."""

    id = "OTX-L012"
    signal = "loop.noop_edit"
    react = (
        "Tell the agent that its edit changes nothing and what the file holds; then let it go on, or stop it."
    )
    guards = (
        "told by the tool, by equal old and new text, or by the content that was written last",
        "a call of unknown effect may have written: contents are forgotten",
        "an edit that changes something starts anew",
    )
    origin = (
        "veyyon (same bytes 3 times a path; 182 of 205 calls in one incident); ours sees it in telemetry."
    )
    hears = Hears(skips=READ, after=WRITE)

    def call(self, context: Context, call: Call) -> None:
        """Count a write that changed nothing; learn from one that did."""
        step, subject = call.step, call.step.subject
        if step.effect is not _WRITE or subject is None or subject.resource is None:
            if step.effect is _WRITE or step.effect is _UNKNOWN:
                for _, other in held(context.lane, PATH):
                    other.notes.clear()
            return
        path, content = subject.resource, subject.content
        track = find(context, PATH, path)
        known = track.notes[0] if track is not None and track.notes else None
        after = content
        if content is not None and subject.partial:
            after = None if known is None else together(known, content)
        same = subject.unchanged or (not step.error and known is not None and after == known)
        if not same:
            if step.error:
                return
            if track is not None and track.count:
                close(self, context, PATH, path, "recovered")
                track = None
            if track is None:
                track = keep(self, context, PATH, path, Track(tool=call.tool))
            track.notes = [] if after is None else [after]
            return
        if track is None:
            track = keep(self, context, PATH, path, Track(tool=call.tool))
        track.vague = track.vague or not subject.unchanged
        if add(context, PATH, path, track, call):
            severity = self.limits.rounds.severity(track.count)
            confidence: Confidence = "probable" if track.vague else "confirmed"
            advance(self, context, PATH, path, track, severity=severity, confidence=confidence)

    def thresholds(self, track: Track) -> dict[str, int]:
        """Edits per severity."""
        return self.limits.rounds.as_dict()

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        return (
            f"{track.tool} wrote to one file {track.count} times{over(track.end - track.start)} and changed "
            "nothing in it; tell the agent what the file holds, or stop it"
        )
