"""loop.nothing_new: code that is run again and again and tells nothing which it did not say itself.

Law of this file: output counts only when each of its words stands in the code that printed it (or is a
nought). A short one is a search that found nothing: `Files found: []`. A long one is the code's own text
shown back: a draft, or a request that the agent prints instead of sending it.
"""

from typing import ClassVar, Final

from otel_ext.signals.findings.episodes import add, advance, close, find, keep
from otel_ext.signals.findings.explain import over
from otel_ext.signals.hears import SPOKE, Hears
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.rule import Call, Context, Limits, Rule
from otel_ext.signals.settings import Levels

VAIN: Final = "OTX-L029/vain"
"""Table: output of a few words, all of them the code's own; one key a lane."""

ECHO: Final = "OTX-L029/echo"
"""Table: the same with many words."""

RUNS: Final = "OTX-L029/runs"
"""Ring: what the newest runs of code told."""

_KEY: Final = b"runs"
_NEWS, _VAIN, _ECHO = b"n", b"v", b"e"


class NothingNewLimits(Limits, frozen=True):
    """How often code may tell nothing.

    Attributes:
        window: runs of code that are looked back at.
        vain: runs among them whose output is a few of the code's own words.
        echo: runs among them whose output is many of the code's own words: showing a draft may be wanted.
        words: words from which on an output is many.
    """

    window: int = 8
    vain: Levels = Levels(warning=3, error=6)
    echo: Levels = Levels(notice=3, warning=5)
    words: int = 40


class NothingNew(Rule[NothingNewLimits]):
    """Several of the newest runs of an agent's code printed nothing beyond words of the code itself.

    Only where code and output are both known: agents that act by code and are told what came of it.
    """

    id = "OTX-L029"
    signal = "loop.nothing_new"
    react: ClassVar[str] = (
        "Look at what the code searches for and where: the agent usually takes the data for something that "
        "it is not. Where it prints a request, it believes that it has sent one."
    )
    guards: ClassVar[tuple[str, ...]] = (
        "one word or number of output that does not stand in the code is news",
        "runs that failed, waited or whose output was not captured never count",
        "text shown back is a notice up to the fifth time",
        "a genuine user turn begins anew",
    )
    origin: ClassVar[str] = (
        "No peer looks at an agent that acts by code; detectors.md 9.1 knows empty and no-hit results of "
        "near-duplicate calls, which this extends to searches that differ each time."
    )
    hears = Hears(after=SPOKE)

    def call(self, context: Context, call: Call) -> None:
        """Note what a run of code told."""
        step = call.step
        if step.own_words < 0 and RUNS not in context.lane.rings:
            return
        told = _NEWS
        if step.own_words >= 0 and not step.error and not step.waiting:
            told = _ECHO if step.own_words >= self.limits.words else _VAIN
        ring = context.lane.rings.setdefault(RUNS, [])
        ring.append(told)
        del ring[: -self.limits.window]
        for table, kind in ((VAIN, _VAIN), (ECHO, _ECHO)):
            track = find(context, table, _KEY)
            count = ring.count(kind)
            if track is not None and not count:
                close(self, context, table, _KEY, "recovered")
            if told == kind:
                self._count(context, call, table, count)

    def _count(self, context: Context, call: Call, table: str, count: int) -> None:
        track = find(context, table, _KEY)
        if track is None:
            track = keep(self, context, table, _KEY, Track(tool=call.tool))
        track.score = count
        if add(context, table, _KEY, track, call):
            levels = self.limits.vain if table == VAIN else self.limits.echo
            severity = levels.severity(count)
            advance(self, context, table, _KEY, track, severity=severity, confidence="probable")

    def thresholds(self, track: Track) -> dict[str, int]:
        """Runs per severity of both kinds, and the window."""
        echo = {f"echo_{name}": least for name, least in self.limits.echo.as_dict().items()}
        return {
            **self.limits.vain.as_dict(),
            **echo,
            "window": self.limits.window,
            "words": self.limits.words,
        }

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        return (
            f"{track.count} runs of {track.tool} code{over(track.end - track.start)} printed nothing but "
            "words of the code itself; the agent learns nothing from them, so show it what it searches in, "
            "or what it can call"
        )
