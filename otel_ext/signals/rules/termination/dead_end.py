"""termination.dead_end: the last thing that an agent did failed, and it said nothing after it.

Law of this file: a model's answer after the failure, or one whose text was not captured, is no dead end.
"""

from typing import ClassVar, Final

from otel_ext.signals.findings.episodes import add, advance, close, find, keep
from otel_ext.signals.findings.explain import quoted
from otel_ext.signals.findings.finding import Status
from otel_ext.signals.hears import ERROR, Hears
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.rule import Call, Context, Limits, Rule
from otel_ext.step import Step

LAST: Final = "OTX-T003/last"
"""Table: the newest call, when it failed and no answer followed; one key a lane."""

_KEY: Final = b"last"


class DeadEnd(Rule[Limits]):
    """An agent's last call failed, and no answer of its model followed."""

    id = "OTX-T003"
    signal = "termination.dead_end"
    react: ClassVar[str] = "See who was to tell the user: the failure was the last thing that happened."
    guards: ClassVar[tuple[str, ...]] = (
        "only in lanes whose model was seen",
        "an answer whose text was not captured may be a final one",
    )
    origin: ClassVar[str] = "Products show the failed last span; none says that nobody answered it."
    per_turn = False
    counts = False
    owns = False
    hears = Hears(after=ERROR)
    hears_model = Hears(after=ERROR)

    def call(self, context: Context, call: Call) -> None:
        """Note how a call went."""
        self._forget(context)
        if call.step.error:
            track = keep(self, context, LAST, _KEY, Track(tool=call.tool))
            add(context, LAST, _KEY, track, call)

    def model(self, context: Context, step: Step) -> None:
        """An answer with text, or one of which that is not known, ends it."""
        if step.said is None or not step.said.captured or step.said.words:
            self._forget(context)

    def ended(self, context: Context, status: Status) -> None:
        """Speak for the newest call."""
        track = find(context, LAST, _KEY)
        if track is not None and status != "evicted" and context.lane.rounds.modelled:
            advance(self, context, LAST, _KEY, track, severity="notice", confidence="candidate")

    def _forget(self, context: Context) -> None:
        if LAST in context.lane.tables and find(context, LAST, _KEY) is not None:
            close(self, context, LAST, _KEY, "recovered")

    def thresholds(self, track: Track) -> dict[str, int]:
        """One call is enough."""
        return {"notice": 1}

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        return (
            f"The agent's last call, of {track.tool}, failed{quoted(track.error_text)} and no answer "
            "followed; see what the user was told"
        )
