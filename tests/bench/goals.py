"""What is aimed at, judged by a session's figures. Pure.

Law of this file: a goal is a ratio within one run, or an amount with its unit; what was not measured is
unknown, never met. A goal carries the marks of the rows that it is made of.
"""

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from otel_ext.bench.baseline import REFERENCE
from otel_ext.bench.session import Figures
from tests.bench.inprocess import KINDS

BASE = "600 B, grpc, 8 clients"
MANY = "600 B, grpc, 32 clients"
HTTP = "600 B, http, 8 clients"
LARGE = "20 kB, grpc, 8 clients"
SERVICE = f"{BASE}, service spans"
TENTH = f"{BASE}, at 10% of peak"
OURS = "otel_ext"
JSON = "Collector, JSON"
END = "span.end(), 12 attributes"
LONGEST = "restart, 1024 MiB"

MIXES = {"agents' spans": BASE, "services' spans": SERVICE}
"""Of what the spans tell; all of 600 bytes."""

Cell: TypeAlias = tuple[str, str, str]
"""Server, case, figure."""


class Goal(NamedTuple):
    """One aim: what, the bound in words, the figure, whether it is met (None: not measured), marks."""

    what: str
    bound: str
    value: float | None
    met: bool | None
    mark: str


class _Found(NamedTuple):
    value: float | None
    mark: str = ""


class _Of:
    def __init__(self, figures: Figures, marks: Mapping[str, str]) -> None:
        self._figures, self._marks = figures, marks

    def one(self, *cell: str) -> _Found:
        """A figure of ours or of another's."""
        server, case, figure = cell
        found = self._figures.get(server, {}).get(case, {}).get(figure)
        return (
            _Found(None) if found is None else _Found(found.median, self._marks.get(f"{server}: {case}", ""))
        )

    def ratio(self, mine: Cell, *others: Cell) -> _Found:
        """Mine by the others': the lowest, which is the one against the fastest."""
        one = self.one(*mine)
        found = [
            _Found(one.value / two.value, "".join(sorted({*one.mark, *two.mark})))
            for two in (self.one(*other) for other in others)
            if one.value is not None and two.value
        ]
        return min(found, key=lambda each: each.value or 0.0, default=_Found(None))

    def rate(self, case: str, *others: str) -> _Found:
        """What we acknowledge, by what the fastest of others does."""
        return self.ratio((OURS, case, "acknowledged"), *((other, case, "acknowledged") for other in others))


def _least(what: str, found: _Found, bound: float, unit: str = "x") -> Goal:
    met = None if found.value is None else found.value >= bound
    return Goal(what, f"at least {bound:,g} {unit}", found.value, met, found.mark)


def _most(what: str, found: _Found, bound: float, unit: str) -> Goal:
    met = None if found.value is None else found.value <= bound
    return Goal(what, f"at most {bound:,g} {unit}", found.value, met, found.mark)


def goals(figures: Figures, marks: Mapping[str, str] | None = None) -> list[Goal]:
    """Every aim, in the order of the page."""
    of = _Of(figures, marks or {})
    return [*_acknowledging(of), *_processing(of), *_starting(of), *_inside(of)]


def _acknowledging(of: _Of) -> list[Goal]:
    found = []
    for clients, case in ((8, BASE), (32, MANY)):
        found += [
            _least(
                f"acknowledged, of bare grpcio with fdatasync, {clients} clients",
                of.rate(case, REFERENCE),
                0.6,
            ),
            _least(f"acknowledged, of rotel over gRPC, {clients} clients", of.rate(case, "rotel"), 1.5),
            _least(
                f"acknowledged, of the faster Collector, {clients} clients",
                of.rate(case, JSON, "Collector, proto"),
                0.5,
            ),
        ]
    without = (OURS, f"{BASE}, sync never", "acknowledged")
    return [
        *found,
        _least("acknowledged, of rotel over HTTP", of.rate(HTTP, "rotel"), 1.0),
        _least("acknowledged, of Phoenix over gRPC", of.rate(BASE, "Phoenix"), 100),
        _least("acknowledged, of MLflow over HTTP", of.rate(HTTP, "MLflow"), 100),
        _least("acknowledged with fsync, of without", of.ratio((OURS, BASE, "acknowledged"), without), 0.7),
        _most(
            "p99 at a tenth of the peak, of the p99 of one fdatasync",
            of.ratio((OURS, TENTH, "p99"), (OURS, TENTH, "fsync_p99")),
            20,
            "x",
        ),
    ]


def _processing(of: _Of) -> list[Goal]:
    found = []
    for mix, case in MIXES.items():
        cpu = of.one(OURS, case, "cpu_100k")
        rate = _Found(1e5 / cpu.value if cpu.value else None, cpu.mark)
        beside = of.ratio((JSON, case, "cpu_100k"), (OURS, case, "cpu_100k"))
        found += [
            _least(f"through the pipeline, a CPU second, {mix}", rate, 100_000, "spans"),
            _least(f"spans a CPU second, of the Collector writing JSON, {mix}", beside, 1.0),
            _least(f"the same, the floor, {mix}", beside, 0.5),
        ]
    large = of.ratio((JSON, LARGE, "cpu_gb"), (OURS, LARGE, "cpu_gb"))
    return [*found, _least("bytes a CPU second at 20 kB, of the Collector writing JSON", large, 0.7)]


def _starting(of: _Of) -> list[Goal]:
    peak = of.one(OURS, BASE, "peak")
    memory = _Found(peak.value / 1e6 if peak.value is not None else None)
    return [
        _most("memory at peak load", memory, 250, "MB"),
        _most("ready again with 1 GiB of journal", of.one(OURS, LONGEST, "start"), 2, "s"),
        _most("first acknowledgement with 1 GiB of journal", of.one(OURS, LONGEST, "first"), 2, "s"),
    ]


def _inside(of: _Of) -> list[Goal]:
    end = KINDS["otel_ext"]
    return [
        _most("`on_end`, median", of.one(end, END, "call_p50"), 25, "µs"),
        _most("`on_end`, p99", of.one(end, END, "call_p99"), 100, "µs"),
        _least(
            "`on_end`, faster than the stock encoder and a write",
            of.ratio((KINDS["write"], END, "call_p50"), (end, END, "call_p50")),
            4,
        ),
        _most(
            "CPU a span, of BatchSpanProcessor with the OTLP exporter",
            of.ratio((end, END, "call_cpu"), (KINDS["batch"], END, "call_cpu")),
            1,
            "x",
        ),
    ]
