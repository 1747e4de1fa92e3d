"""The detectors as a pipeline holds them: those that are heard, and beside them those on trial.

Law of this file: a rule in shadow changes nothing that anybody hears. It runs in a second set of lanes, in
which it is on beside all others, so that what is recorded of it is what it would say; only while one is on
trial is there a second set. Whom the user muted is recorded as well, judged by engine time (law L7).
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from typing import Final

from otel_ext.signals.engine import Signals
from otel_ext.signals.findings.finding import Finding, Status
from otel_ext.signals.settings import SECOND, Mute, Settings
from otel_ext.step import Step

_SHADOW: Final = "shadow/"
"""What the keys of the second set's dump begin with."""


class Detectors:
    """All detectors of one pipeline; used by its thread only.

    Args:
        settings: as of `Signals`.

    Raises:
        ConfigError: as `Signals`.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        settings = settings or Settings()
        self.heard = Signals(settings)
        self._trial = {name for name, said in settings.rules.items() if said.mode == "shadow"}
        self.shadow = Signals(settings, shadow=True) if self._trial else None
        self._mute = settings.mute
        self._stale: list[str] = []

    def open(self, step: Step, now: int) -> list[Finding]:
        """Take in a step; see `Signals.open`."""
        shadow = self.shadow.open(step, now) if self.shadow else ()
        return self._told(self.heard.open(step, now), shadow, now)

    def close(self, step: Step, now: int) -> list[Finding]:
        """End a lane; see `Signals.close`."""
        shadow = self.shadow.close(step, now) if self.shadow else ()
        return self._told(self.heard.close(step, now), shadow, now)

    def end_trace(self, trace_id: bytes, status: Status, now: int) -> list[Finding]:
        """End every lane of a trace; see `Signals.end_trace`."""
        shadow = self.shadow.end_trace(trace_id, status, now) if self.shadow else ()
        return self._told(self.heard.end_trace(trace_id, status, now), shadow, now)

    def tick(self, now: int) -> list[Finding]:
        """Evict what has not been touched for long; see `Signals.tick`."""
        shadow = self.shadow.tick(now) if self.shadow else ()
        return self._told(self.heard.tick(now), shadow, now)

    def next_deadline(self) -> int | None:
        """The engine time at which `tick` has something to do."""
        deadlines = [one.next_deadline() for one in (self.heard, self.shadow) if one is not None]
        return min((one for one in deadlines if one is not None), default=None)

    def dump(self) -> dict[str, bytes]:
        """What changed since the last dump; empty bytes mean that it is gone."""
        dumped = {**dict.fromkeys(self._stale, b""), **self.heard.dump()}
        self._stale.clear()
        if self.shadow is not None:
            dumped |= {_SHADOW + key: data for key, data in self.shadow.dump().items()}
        return dumped

    def load(self, items: Mapping[str, bytes]) -> None:
        """Take over dumped state; what a rule on trial left is dropped when there is none any more.

        Raises:
            UnsupportedVersion: another version wrote it.
        """
        shadow = {key for key in items if key.startswith(_SHADOW)}
        self.heard.load({key: data for key, data in items.items() if key not in shadow})
        if self.shadow is not None:
            self.shadow.load({key.removeprefix(_SHADOW): items[key] for key in shadow})
        else:
            self._stale = sorted(shadow)

    def take_news(self) -> list[str]:
        """Rules that were switched off since the last call, in words."""
        return [
            text for one in (self.heard, self.shadow) if one is not None for text in one.watch.take_news()
        ]

    def _told(self, heard: list[Finding], shadow: Iterable[Finding], now: int) -> list[Finding]:
        for finding in heard if self._mute else ():
            if any(_covers(mute, finding, now) for mute in self._mute):
                finding.hidden = "muted"
        for finding in shadow:
            if finding.signal in self._trial:
                finding.hidden = "shadow"
                heard.append(finding)
        return heard


def _covers(mute: Mute, finding: Finding, now: int) -> bool:
    pairs = (mute.rule, finding.signal), (mute.tool, finding.tool), (mute.agent, finding.agent)
    if any(pattern and not fnmatchcase(name, pattern) for pattern, name in pairs):
        return False
    return mute.until is None or _day(now) < mute.until


def _day(now: int) -> date:
    return datetime.fromtimestamp(min(now, 253_402_300_799 * SECOND) // SECOND, UTC).date()
