"""What is aimed at, judged by a session's figures. Pure.

Law of this file: a goal is a ratio within one run, or an amount with its unit; what was not measured is
unknown, never met.
"""

from collections.abc import Callable
from typing import NamedTuple

from otel_ext.bench.baseline import REFERENCE
from otel_ext.bench.session import Figures
from tests.bench.inprocess import KINDS

BASE = "600 B, grpc, 8 clients"
HTTP = "600 B, http, 8 clients"
LARGE = "20 kB, grpc, 8 clients"
OURS = "otel_ext"
END = "span.end(), 12 attributes"


class Goal(NamedTuple):
    """One aim: what, the bound in words, the figure, whether it is met; None: not measured."""

    what: str
    bound: str
    value: float | None
    met: bool | None


class _Of:
    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def __call__(self, server: str, case: str, figure: str) -> float | None:
        found = self._figures.get(server, {}).get(case, {}).get(figure)
        return found.median if found is not None else None

    def ratio(self, mine: tuple[str, str, str], other: tuple[str, str, str]) -> float | None:
        """Mine by the other's."""
        one, two = self(*mine), self(*other)
        return one / two if one is not None and two else None


def _least(what: str, value: float | None, bound: float, unit: str = "x") -> Goal:
    return Goal(what, f"at least {bound:,g} {unit}", value, None if value is None else value >= bound)


def _most(what: str, value: float | None, bound: float, unit: str) -> Goal:
    return Goal(what, f"at most {bound:,g} {unit}", value, None if value is None else value <= bound)


def goals(figures: Figures) -> list[Goal]:
    """Every aim, in the order of the page."""
    of = _Of(figures)

    def rate(other: str, case: str = BASE) -> float | None:
        return of.ratio((OURS, case, "acknowledged"), (other, case, "acknowledged"))

    def best(get: Callable[[str], float | None], *names: str) -> float | None:
        """The lowest of the ratios: the one against the fastest."""
        return min((found for name in names if (found := get(name)) is not None), default=None)

    cpu = of(OURS, BASE, "cpu_100k")
    peak = of(OURS, BASE, "peak")
    end = KINDS["otel_ext"]
    longest = next((c for c in figures.get(OURS, {}) if c == "restart, 1024 MiB"), "")
    return [
        _least("acknowledged, of bare grpcio with fdatasync", rate(REFERENCE), 0.6),
        _least("acknowledged, of rotel over gRPC", rate("rotel"), 1.5),
        _least("acknowledged, of rotel over HTTP", rate("rotel", HTTP), 1.0),
        _least(
            "acknowledged, of the faster Collector", best(rate, "Collector, JSON", "Collector, proto"), 0.5
        ),
        _least("acknowledged, of Phoenix over gRPC", rate("Phoenix"), 100),
        _least("acknowledged, of MLflow over HTTP", rate("MLflow", HTTP), 100),
        _least("through the pipeline, a CPU second", 1e5 / cpu if cpu else None, 100_000, "spans"),
        _least(
            "spans a CPU second, of the Collector writing JSON",
            of.ratio(("Collector, JSON", BASE, "cpu_100k"), (OURS, BASE, "cpu_100k")),
            1.0,
        ),
        _least(
            "bytes a CPU second at 20 kB, of the Collector writing JSON",
            of.ratio(("Collector, JSON", LARGE, "cpu_gb"), (OURS, LARGE, "cpu_gb")),
            0.7,
        ),
        _least(
            "acknowledged with fsync, of without",
            of.ratio((OURS, BASE, "acknowledged"), (OURS, f"{BASE}, sync never", "acknowledged")),
            0.7,
        ),
        _most(
            "p99 at a tenth of the peak, of the p99 of one fdatasync",
            of.ratio(
                (OURS, f"{BASE}, at 10% of peak", "p99"), (OURS, f"{BASE}, at 10% of peak", "fsync_p99")
            ),
            20,
            "x",
        ),
        _most("memory at peak load", peak / 1e6 if peak is not None else None, 250, "MB"),
        _most("ready again with 1 GiB of journal", of(OURS, longest, "start"), 2, "s"),
        _most("`on_end`, median", of(end, END, "call_p50"), 25, "µs"),
        _most("`on_end`, p99", of(end, END, "call_p99"), 100, "µs"),
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
