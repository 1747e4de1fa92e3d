"""loop.near_duplicate: the same question in other words, with the same answer.

Law of this file: words that are alike say nothing without results that are alike. Another page, another file,
another id is another question; a failing call is `loop.error_variants`'s.
"""

from collections.abc import Sequence
from typing import Final

from otel_ext.signals.calls.similar import likeness, silent
from otel_ext.signals.findings.episodes import add, advance, again, claimed, drop, find, forget
from otel_ext.signals.findings.explain import over
from otel_ext.signals.findings.last import last_word
from otel_ext.signals.hears import ABOUT, DONE, KEYED, POLLS, Hears
from otel_ext.signals.lane.tracks import Track, notes_of
from otel_ext.signals.rule import Call, Context, Limits, Rule
from otel_ext.signals.rules.loop.exact_repeat import is_poll
from otel_ext.signals.settings import Levels

ALIKE: Final = "OTX-L007/alike"
"""Table: calls of one tool whose words are alike; its notes are the first one's words and its result's."""

LOOSE: Final = "OTX-L007/loose"
"""Table: the same for words that are less alike."""

MOST: Final = 8
"""Groups of one tool."""

_DIGEST: Final = 16  # bytes of a key that are not the tool's name


class NearDuplicateLimits(Limits, frozen=True):
    """When questions that are alike are a loop.

    Attributes:
        rounds: rounds with different arguments in one group.
        alike: percent of all words of two calls' arguments that both have.
        loose: the same for a candidate.
        results: percent of all words of the two results that both have.
    """

    rounds: Levels = Levels(notice=3, warning=5)
    alike: int = 80
    loose: int = 50
    results: int = 50


class NearDuplicate(Rule[NearDuplicateLimits]):
    """Three or more calls of one tool whose arguments, and whose results, are nearly the same."""

    id = "OTX-L007"
    signal = "loop.near_duplicate"
    react = (
        "Rewording does not help: give the agent another source, or tell it that there is no more to find."
    )
    guards = (
        "results are alike as well",
        "another page, file, URL or id is another question",
        "calls that write, poll or fail, and commands of unknown effect with few words, are left out",
        "a write and a user turn start anew",
    )
    origin = "Sentry (Jaccard of arguments and results), browser-use (search words as a set), DeepEval."
    hears = Hears(ABOUT | DONE | KEYED, skips=POLLS)

    def call(self, context: Context, call: Call) -> None:
        """Put a call into the group of calls that it is like, or into one of its own."""
        step, subject = call.step, call.step.subject
        if step.error or not call.key or subject is None or is_poll(call):
            return
        if subject.words and subject.result_words and not silent(step):
            limits, place = self.limits, subject.resource or subject.place or b""
            notes = subject.words, subject.result_words, place.ljust(16, b"\0") + b"%d" % subject.page
            if not self._group(context, ALIKE, call, notes, limits.alike) and limits.loose:
                self._group(context, LOOSE, call, notes, limits.loose)

    def _group(self, context: Context, table: str, call: Call, notes: tuple[bytes, ...], least: int) -> bool:
        """Count the call into a group; whether a finding told of it."""
        tracks = context.lane.tables.get(table) or {}
        tool = call.key[:-_DIGEST]
        mine = [key for key in tracks if key[:-_DIGEST] == tool]
        for key in mine:
            if self._alike(notes_of(tracks[key]), notes, least):
                return self._count(context, table, key, call)
        if len(mine) >= MOST:
            drop(self, context, table, mine[0], "evicted")
        track = again(self, context, table, call.key, call, notes=notes, anew=True)
        if track is not None:
            add(context, table, call.key, track, call)
        return False

    def _alike(self, one: Sequence[bytes], other: Sequence[bytes], least: int) -> bool:
        return (
            one[2] == other[2]
            and 100 * likeness(one[0], other[0]) >= least
            and 100 * likeness(one[1], other[1]) >= self.limits.results
        )

    def _count(self, context: Context, table: str, key: bytes, call: Call) -> bool:
        track = find(context, table, key)
        assert track is not None, "it was just there"
        if call.step.arguments_hash in track.distinct or not add(context, table, key, track, call):
            return track.episode is not None  # the very same again is not rewording
        severity = self.limits.rounds.severity(track.count)
        if track.episode is None:
            free = sum(not claimed(context, mark.span_id) for mark in track.marks) if severity else 0
            if self.limits.rounds.severity(free) is None:
                return False
        if table == ALIKE:
            advance(self, context, table, key, track, severity=severity, confidence="probable")
        else:
            track.score = int(severity is not None)
        return track.episode is not None

    def closing(self, context: Context, table: str, key: bytes, track: Track) -> None:
        """What is less alike speaks last, for what no surer rule has told."""
        if table == LOOSE and track.score:
            last_word(context, table, key, track, "candidate")

    def wrote(self, context: Context, call: Call) -> None:
        """After a write the answer may be another."""
        forget(self, context, ALIKE, LOOSE)

    def thresholds(self, track: Track) -> dict[str, int]:
        """Rounds per severity, and the percentages."""
        limits = self.limits
        loose = track.episode is not None and track.episode.confidence == "candidate"
        least = limits.loose if loose else limits.alike
        return {**limits.rounds.as_dict(), "alike": least, "results": limits.results}

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        return (
            f"{track.tool} was called {track.count} times{over(track.end - track.start)} with nearly the "
            "same arguments and answered nearly the same; rewording does not help, so give the agent "
            "another source"
        )
