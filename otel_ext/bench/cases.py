"""What is measured: suites of cases.

Law of this file: a case says everything that its figures depend on, and its name says it too, so that a
figure is compared with one of the same name only. Every case sends about the same number of bytes.
"""

from typing import Final, Literal, TypeAlias

import msgspec

Door: TypeAlias = Literal["grpc", "http"]
BATCH: Final = {600: 512, 5_000: 128, 20_000: 64, 100_000: 16, 1_000_000: 2}
"""Spans of a request, by the size of a span in bytes."""
_BYTES: Final = 240_000_000
"""What a run sends; `--quick` a twelfth of it."""


def shown(size: int) -> str:
    """Bytes as names of cases have them."""
    factor, unit = (1, "B") if size < 1_000 else (1_000, "kB") if size < 1_000_000 else (1_000_000, "MB")
    return f"{size // factor} {unit}"


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to measure.

    Attributes:
        size: bytes of a span.
        total: spans sent.
        share: of the closed loop's rate in the same run, sent at an even pace after it; 0: no pace.
        sync: `extensions.journal.sync` of our own server.
        detectors: whether the rules are on.
        forward: whether a second destination over gRPC takes everything too.
        sessions: ids that traces share in turn; 0: a session for each trace.
        per_session: spans after which a connection goes on to the next session id.
        hold: seconds over which the requests are spread, at an even rate.
    """

    size: int = 600
    total: int = 0
    clients: int = 8
    door: Door = "grpc"
    gzip: bool = False
    share: float = 0.0
    sync: Literal["always", "interval", "never"] = "always"
    detectors: bool = True
    forward: bool = False
    mix: str = "agent"
    sessions: int = 0
    per_session: int = 0
    hold: float = 0.0

    @property
    def name(self) -> str:
        """Every setting that is not the usual one, and the usual ones that matter most."""
        door = self.door + (" gzip" if self.gzip else "")
        parts = [shown(self.size), door, f"{self.clients} client{'s' * (self.clients != 1)}"]
        parts += [f"at {self.share:.0%} of peak"] * bool(self.share)
        parts += [f"sync {self.sync}"] * (self.sync != "always")
        parts += ["no detectors"] * (not self.detectors) + ["forwarding"] * self.forward
        parts += [f"{self.mix} spans"] * (self.mix != "agent")
        parts += [f"{self.sessions} sessions"] * bool(self.sessions)
        parts += [f"{self.per_session} spans a session"] * bool(self.per_session)
        parts += [f"open {self.hold:g} s"] * bool(self.hold)
        return ", ".join(parts)

    @property
    def traces(self) -> int:
        """Traces of a request: eight; of four spans where sessions are many; none longer than its session."""
        batch = BATCH[self.size]
        if self.per_session:
            return max(min(8, batch), batch // self.per_session)
        return max(1, batch // 4) if self.sessions else min(8, batch)

    @property
    def spans(self) -> int:
        """Spans of a request, the same in each of its traces."""
        return BATCH[self.size] // self.traces * self.traces

    @property
    def requests(self) -> int:
        """Requests of each connection."""
        return max(2, self.total // self.spans // self.clients)

    @property
    def wire(self) -> bool:
        """Whether it says nothing of the server's own settings, so that any server can be measured by it."""
        return self.sync == "always" and self.detectors and not self.forward


def suites(quick: bool = False, scale: float = 1.0) -> dict[str, list[Case]]:
    """Every suite by its name; `scale` makes all of them longer or shorter."""
    part = scale / 12 if quick else scale

    def case(size: int = 600, **settings: object) -> Case:
        settings.setdefault("total", max(BATCH[size] * 16, int(_BYTES / size * part)))
        return msgspec.convert({"size": size, **settings}, Case)

    return {
        "size": [case(size) for size in (600, 5_000, 20_000, 100_000)],
        "clients": [case(clients=clients) for clients in (1, 8, 32)],
        "doors": [case(door="grpc", gzip=True), case(door="http"), case(door="http", gzip=True)],
        "large": [case(20_000, door="http"), case(20_000, gzip=True), case(20_000, door="http", gzip=True)],
        "sync": [case(sync=sync) for sync in ("always", "interval", "never")],
        "work": [case(), case(detectors=False), case(forward=True), case(mix="service")],
        "latency": [case(share=0.1)],
        # However short the runs are made, there are as many sessions, or spans in one, as the name says.
        "sessions": [
            case(sessions=n, total=max(int(_BYTES / 600 * part), 4 * n))
            for n in ((10, 1_000) if quick else (10, 100, 1_000, 10_000, 100_000))
        ],
        "depth": [
            case(per_session=n, clients=1, total=max(int(_BYTES / 600 * part), n))
            for n in ((10, 1_000) if quick else (10, 100, 1_000, 10_000, 100_000, 1_000_000))
        ],
        "attributes": [case(n, clients=4) for n in ((600, 20_000) if quick else tuple(BATCH))],
        "open": [
            case(sessions=1_000, clients=2, hold=hold, total=int(200_000 * part))
            for hold in ((1.0, 3.0) if quick else (10.0, 30.0, 90.0))
        ],
    }


USUAL: Final = ("size", "clients", "doors", "sync", "work", "latency")
"""What is measured when nothing is asked for."""

SCALE: Final = ("sessions", "depth", "attributes", "open")
"""How figures grow."""


def chosen(names: tuple[str, ...], quick: bool = False, scale: float = 1.0) -> list[tuple[str, Case]]:
    """Cases of these suites, each with its suite; one that several suites hold comes once.

    Raises:
        KeyError: there is no suite of such a name; the names are in it.
    """
    known = suites(quick, scale)
    found: dict[str, tuple[str, Case]] = {}
    for name in names or USUAL:
        if name not in known:
            raise KeyError(f"no suite {name!r}; there are {', '.join(known)}")
        for case in known[name]:
            found.setdefault(case.name, (name, case))
    return list(found.values())
