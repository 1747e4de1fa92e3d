"""waste.oversized_result: one result that fills the context.

Law of this file: size alone is judged, not use; so it is a notice, and its cost is what every later turn pays
for carrying it.
"""

from typing import Final

from otel_ext.signals.findings.episodes import find, keep, put
from otel_ext.signals.findings.last import speak_last
from otel_ext.signals.hears import DONE, Hears
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.lane.usage import reported
from otel_ext.signals.lane.waste import BYTES_PER_TOKEN, Mark
from otel_ext.signals.rule import Call, Context, Limits, Rule
from otel_ext.step import Step

LARGE: Final = "OTX-W014/large"
"""Table: one tool's oversized results."""

WAITING: Final = "OTX-W014/waiting"
"""Ring: large results of the round that is open, to be compared with the next call's input."""

MOST_WAITING: Final = 8
"""Results that wait for the next model call."""


class OversizedResultLimits(Limits, frozen=True):
    """When a result is too large.

    Attributes:
        results: such results of one tool.
        tokens: estimated tokens of a result that is too large whatever the context.
        share: per cent of the next model call's input that one result may make up.
        least: estimated tokens below which the share is not looked at.
    """

    results: int = 1
    tokens: int = 20_000
    share: int = 25
    least: int = 8_000


class OversizedResult(Rule[OversizedResultLimits]):
    """A result of 20,000 tokens or more, or of a quarter of the context that it came into."""

    id = "OTX-W014"
    signal = "waste.oversized_result"
    costs = "carrying it"
    react = "Give the tool a limit, pages or a filter, or keep the result outside and hand over a summary."
    guards = (
        "sizes are estimated from bytes",
        "a share counts only from 8,000 tokens on: frameworks cut results at 20 to 30 kB, which nobody "
        "calls large",
        "frameworks that cut a result before the model sees it are not known here",
    )
    origin = (
        "AgentDiet (arXiv 2509.23586) finds 40 to 60 % of input removable; no product in our comparison "
        "names the result that does it."
    )
    hears = Hears(DONE)

    def call(self, context: Context, call: Call) -> None:
        """Look at a result's size."""
        step, limits = call.step, self.limits
        tokens = step.result_size // BYTES_PER_TOKEN
        if tokens < limits.least or step.error:
            return
        if tokens >= limits.tokens > 0:
            self._tell(
                context, call.tool, Mark(step.span_id, step.start, step.end, call.round.number, size=tokens)
            )
            return
        ring = context.lane.rings.setdefault(WAITING, [])
        times = (tokens, call.round.number, max(0, step.start), max(0, step.end))
        packed = b"".join(min(number, (1 << 63) - 1).to_bytes(8, "big") for number in times)
        ring.append(packed + step.span_id.ljust(8, b"\0") + call.tool.encode("utf-8", "surrogatepass"))
        del ring[:-MOST_WAITING]

    def model(self, context: Context, step: Step) -> None:
        """Compare what came in with the context that it came into."""
        waiting = context.lane.rings.pop(WAITING, None)
        if not waiting:
            return
        given = reported(step.input_tokens)
        if given <= 0 or self.limits.share <= 0:
            return
        for one in waiting:
            tokens, number, start, end = (int.from_bytes(one[at : at + 8], "big") for at in range(0, 32, 8))
            if given >= tokens >= given * self.limits.share // 100:
                tool = one[40:].decode("utf-8", "surrogatepass")
                self._tell(context, tool, Mark(one[32:40], start, end, number, size=tokens))

    def _tell(self, context: Context, tool: str, mark: Mark) -> None:
        # The call itself was wanted: what it costs is the carrying.
        mark.start = mark.end = max(0, mark.start)
        mark.measured, mark.turn = True, True
        recent = context.lane.rounds.recent
        mark.rate = recent[-1].rate if recent else -1
        key = tool.encode("utf-8", "surrogatepass")
        track = find(context, LARGE, key) or keep(self, context, LARGE, key, Track(tool=tool))
        track.score = max(track.score, mark.size)
        put(context, track, mark)

    def closing(self, context: Context, table: str, key: bytes, track: Track) -> None:
        """Speak for what no loop owns."""
        if track.count >= self.limits.results > 0:
            least = self.limits.results
            speak_last(context, table, key, track, least=least, first=False, confidence="probable")

    def thresholds(self, track: Track) -> dict[str, int]:
        """Results, tokens, per cent."""
        limits = self.limits
        sizes = {"tokens": limits.tokens, "share": limits.share, "least": limits.least}
        return {"notice": limits.results, **sizes}

    def missing(self, context: Context, track: Track) -> list[str]:
        """The result's tokens are never reported."""
        return ["result tokens"]

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        what = "one result" if track.count == 1 else f"{track.count} large results, the largest"
        return (
            f"{track.tool} returned {what} of about {track.score:,} tokens; give the tool a limit, pages "
            "or a filter, or keep the result outside and hand over a summary"
        )
