"""A session's medians kept as a file, and compared with another's.

Law of this file: a baseline names its machine and commit. Against one of another machine only ratios to a
reference measured in the same session are compared, because nothing else means anything there.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import msgspec

from otel_ext.bench.figures import HIGHER, Change, Middle, regressions
from otel_ext.bench.session import Figures, Session
from otel_ext.errors import ConfigError

_MACHINE: Final = ("cpu", "cores", "memory_mib")
REFERENCE: Final = "bare grpcio"


class Baseline(msgspec.Struct, kw_only=True):
    """What is stored."""

    version: int = 1
    machine: dict[str, Any]
    figures: Figures
    marks: dict[str, str] = {}
    """Of rows that were disturbed or limited by the clients, by server and case."""

    promises: dict[str, str] = {}
    """What an OK means, by server."""


def baseline(session: Session) -> Baseline:
    """What is worth keeping of a session."""
    figures = session.figures()
    marks = {
        f"{server}: {case}": session.marks(server, case) for server in figures for case in figures[server]
    }
    told = {key: value for key, value in marks.items() if value}
    return Baseline(machine=session.machine, figures=figures, marks=told, promises=session.promises)


def store(kept: Baseline, path: Path) -> None:
    """Write a baseline."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(kept), indent=1) + b"\n")


def read(path: Path) -> Baseline:
    """Read a baseline.

    Raises:
        ConfigError: the file is none, or cannot be read.
    """
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Baseline)
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigError(f"{path} is no baseline: {error}") from error
    if found.version != 1:
        raise ConfigError(f"{path} is a baseline of version {found.version}; this is version 1")
    return found


def same_machine(old: Baseline, new: Baseline) -> bool:
    """Whether figures of both may be compared as they are."""
    return all(old.machine.get(key) == new.machine.get(key) for key in _MACHINE)


def changes(old: Baseline, new: Baseline) -> list[tuple[str, Change]]:
    """Every figure that both hold, judged; the case's name begins with its server's."""
    alike = same_machine(old, new)
    found = []
    for server, cases in new.figures.items():
        before, after = old.figures.get(server, {}), cases
        if not alike:
            if server == REFERENCE:
                continue
            before, after = _ratios(before, old), _ratios(cases, new)
        found += [(f"{server}: {case}", change) for case, change in regressions(before, after)]
    return found


def disturbed(old: Baseline, new: Baseline, names: Iterable[str]) -> list[str]:
    """Those of these rows in whose runs others used the machine, on either side."""
    return [name for name in names if "!" in old.marks.get(name, "") + new.marks.get(name, "")]


def _ratios(
    cases: dict[str, dict[str, Middle | None]], whole: Baseline
) -> dict[str, dict[str, Middle | None]]:
    """Rates as parts of the reference's in the same session; what has no reference is left out."""
    found: dict[str, dict[str, Middle | None]] = {}
    for case, figures in cases.items():
        limit = (whole.figures.get(REFERENCE, {}).get(case) or {}).get("acknowledged")
        if limit is None or not limit.median:
            continue
        found[case] = {
            name: Middle(*(value / limit.median for value in (one.median, one.low, one.high)))
            for name in HIGHER
            if (one := figures.get(name)) is not None
        }
    return found
