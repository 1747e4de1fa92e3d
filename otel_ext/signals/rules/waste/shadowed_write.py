"""waste.shadowed_write: what was written is written over before anybody looked at it.

Law of this file: only a whole content that another whole content replaces is shadowed; edits add up. A read,
a check or any call that might have used the thing makes the first write worth its cost.
"""

from typing import Final

from otel_ext.signals.findings.episodes import add, close, find, held, keep
from otel_ext.signals.findings.last import speak_last
from otel_ext.signals.hears import WRITE, Hears
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.rule import Call, Context, Limits, Rule
from otel_ext.step import Effect

WRITTEN: Final = "OTX-W023/written"
"""Table: one resource's newest content."""

_READ, _WRITE = Effect.READ, Effect.WRITE


class ShadowedWriteLimits(Limits, frozen=True):
    """When writes are told.

    Attributes:
        writes: writes of one resource that were written over unseen.
    """

    writes: int = 1


class ShadowedWrite(Rule[ShadowedWriteLimits]):
    """A resource written whole twice, with different contents, and nothing looked at it in between."""

    id = "OTX-W023"
    signal = "waste.shadowed_write"
    costs = "writing again"
    react = "Let the agent plan the content before it writes, or edit instead of writing all of it again."
    guards = (
        "edits and appends are left alone",
        "equal contents are loop.noop_edit's or loop.exact_repeat's",
        "a read of the resource, a check, or any other call that is not a read or a write of something else",
        "a user turn may ask for another content",
    )
    origin = "Dead stores in compilers; no product in our comparison looks for it."
    hears = Hears(after=WRITE)

    def call(self, context: Context, call: Call) -> None:
        """Count a write over a write; forget what may have been looked at."""
        step, subject = call.step, call.step.subject
        resource = subject.resource if subject is not None else None
        if step.effect is _WRITE and not step.error:
            if subject is not None and resource is not None:
                self._wrote(context, call, resource, subject.content, subject.partial)
                return
        elif step.effect is _READ and resource is not None and not (subject and subject.verifies):
            if find(context, WRITTEN, resource) is not None:
                close(self, context, WRITTEN, resource, "recovered")
            return
        for key, _ in held(context.lane, WRITTEN):
            close(self, context, WRITTEN, key, "recovered")

    def _wrote(
        self, context: Context, call: Call, resource: bytes, content: bytes | None, part: bool
    ) -> None:
        track = find(context, WRITTEN, resource)
        if part or content is None or (track is not None and track.value == content):
            if track is not None:
                close(self, context, WRITTEN, resource, "recovered")
            return
        if track is None:
            track = keep(self, context, WRITTEN, resource, Track(tool=call.tool))
        track.value = content
        add(context, WRITTEN, resource, track, call)

    def closing(self, context: Context, table: str, key: bytes, track: Track) -> None:
        """Speak for what nobody else owns."""
        if track.count > self.limits.writes > 0:
            least = self.limits.writes
            speak_last(context, table, key, track, least=least, confidence="candidate")

    def thresholds(self, track: Track) -> dict[str, int]:
        """Writes, the last one included."""
        return {"notice": self.limits.writes + 1}

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        return (
            f"{track.tool} wrote one thing whole {track.count} times, with other contents each time, and "
            "nothing looked at it in between; let the agent edit instead of writing all of it again"
        )
