"""The wall clock steps by an hour, in both directions, under a server that is also killed.

The machine's clock is never touched: the real process gets a `sitecustomize` that adds an offset, read
from a file, to `time.time_ns`, which is what the package's one clock asks; in-process the same engine runs
on a `ManualClock`.
"""

import json
import random
import struct
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_ext.cli.folder import engines, lines_of
from otel_ext.cli.verify import check_engine
from otel_ext.pipeline import Engine, EngineSettings
from otel_ext.testing import ManualClock
from tests.builders import looping_run, request
from tests.crash.checks import check, count
from tests.crash.load import SPANS, Load, ids
from tests.support import server

SECOND = 1_000_000_000
HOUR = 3600 * SECOND
SHIM = """
import mmap, os, struct, time
_real, _file = time.time_ns, open(os.environ["OTEL_EXT_TEST_OFFSET"], "rb")
_offset = mmap.mmap(_file.fileno(), 8, access=mmap.ACCESS_READ)
time.time_ns = lambda: _real() + struct.unpack("<q", _offset[:8])[0]
"""
CONFIG = "processors: {sessions: {idle_timeout: 10m}}\nservice: {checkpoint_interval: 200ms}\n"


class Offset:
    """The offset of one process's wall clock."""

    def __init__(self, folder: Path) -> None:
        (folder / "shim").mkdir()
        (folder / "shim/sitecustomize.py").write_text(SHIM)
        self._file = (folder / "offset").open("wb", buffering=0)
        self.set(0)
        self.environment = {
            "PYTHONPATH": f"{folder / 'shim'}:{Path(__file__).parents[2]}",
            "OTEL_EXT_TEST_OFFSET": str(folder / "offset"),
        }

    def set(self, ns: int) -> None:
        """Step the clock to the machine's plus `ns`."""
        self._file.seek(0)
        self._file.write(struct.pack("<q", ns))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


@pytest.mark.parametrize(("rounds", "seed"), [(3, 1), pytest.param(40, 2, marks=pytest.mark.long)])
def test_steps_of_an_hour_under_load_and_kills(tmp_path: Path, rounds: int, seed: int) -> None:
    """Steps, kills and restarts in any order: each span once; while it runs, a step ends no session."""
    rng = random.Random(seed)
    offset = Offset(tmp_path)
    with server(tmp_path / "data", CONFIG, offset.environment) as process:
        with Load(process) as load:
            load.wait_for(50)
            offset.set(HOUR)
            load.wait_for(50)
            offset.set(-HOUR)
            load.wait_for(50)
            # An hour ahead, ten minutes of silence end a session; none of it was real.
            assert {(s["state"], s["generation"]) for s in process.sessions()} == {("active", 1)}
            for _ in range(rounds):
                process.kill()
                offset.set(rng.choice([-HOUR, 0, HOUR]))
                process.start()
                load.wait_for(rng.randrange(1, 50))
                offset.set(rng.choice([-HOUR, 0, HOUR]))
                load.wait_for(rng.randrange(1, 50))
        process.stop()
    offset.close()
    check(tmp_path / "data", ids(load.acknowledged), ids(load.attempted))


def test_the_shim_is_in_force(tmp_path: Path) -> None:
    """Control: the process does see the stepped clock: a start an hour later ends what was left open."""
    offset = Offset(tmp_path)
    with server(tmp_path / "data", CONFIG, offset.environment) as process:
        with Load(process) as load:
            load.wait_for(20)
        process.stop()
        assert {s["state"] for s in process.sessions()} == {"active"}
        offset.set(HOUR)
        process.start()
        process.wait_for_ends(len(ids(load.acknowledged)))
        process.stop()
    offset.close()


IDLE = 60
SETTINGS = EngineSettings(
    idle_timeout=float(IDLE), min_free=0, checkpoint_interval=0.0, sync="never", file_bytes=4000
)
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(0, 2)),
        st.tuples(st.just("pass"), st.sampled_from([1, 3, 20, IDLE - 1, IDLE + 1])),
        st.tuples(st.just("step"), st.sampled_from([-24, -1, 1, 24])),
        st.tuples(st.just("restart"), st.integers(0, 1)),
    ),
    max_size=30,
)


class Driven:
    """An engine on a clock of ours, driven by hand, beside a model of what its time and sessions must be."""

    def __init__(self, data: Path) -> None:
        self.data, self.clock = data, ManualClock()
        self.engine = Engine(data, SETTINGS, clock=self.clock)
        self.sent = 0
        self.recorded = 0  # engine time of the last record
        self.began = self.clock.now(), self.clock.monotonic()  # engine and monotonic time at the start
        self.spoke: dict[str, int] = {}
        self.files: dict[str, bytes] = {}

    @property
    def now(self) -> int:
        """What engine time must be."""
        return self.began[0] + self.clock.monotonic() - self.began[1]

    def turn(self) -> None:
        """Process all there is and what engine time has made due; compare with the model."""
        journal = self.engine.journal
        while True:
            before = journal.readable_end
            journal.wake()  # when there is nothing to read, do not wait for it
            self.engine.step()
            if journal.readable_end == before:
                break
        assert self.recorded <= journal.engine_time <= self.now
        self.recorded = journal.engine_time
        (folder,) = engines(self.data)
        active = {s.session_id for s in folder.catalog.sessions() if not s.ended}
        folder.catalog.close()
        assert active == {name for name, at in self.spoke.items() if self.now - at < IDLE * SECOND}
        files = {path.name: path.read_bytes() for path in (folder.path / "sessions").iterdir()}
        for name, content in self.files.items():
            assert files[name].startswith(content)  # a name, once given, only grows
        self.files = files

    def act(self, action: str, value: int) -> None:
        """Do one thing to the engine or its clock."""
        match action:
            case "send":
                self.sent += 1
                self.engine.intake.accept(request(*looping_run(self.sent, f"s{value}", rounds=SPANS - 1)))
                self.spoke[f"s{value}"] = self.now
            case "pass":
                self.clock.advance(value * SECOND)
            case "step":
                self.clock.set(self.clock.now() + value * HOUR)
            case "restart":
                if value:
                    self.engine.start()
                    assert self.engine.close()
                    self.recorded = self.now  # closing is a record, too
                else:
                    self.engine.abandon()
                self.engine = Engine(self.data, SETTINGS, clock=self.clock)
                self.began = max(self.recorded, self.clock.now()), self.clock.monotonic()
        self.turn()


@settings(max_examples=30)
@given(ACTIONS)
def test_any_steps_kills_and_silences(actions: list[tuple[str, int]]) -> None:
    """Whatever the wall clock does: time grows, silence alone ends sessions, each span is stored once."""
    with tempfile.TemporaryDirectory() as folder:
        driven = Driven(Path(folder))
        for action, value in [*actions, ("pass", IDLE), ("restart", 1)]:
            driven.act(action, value)
        driven.engine.abandon()
        (engine,) = engines(Path(folder))
        report = check_engine(engine)
        stored, _ = count(map(json.loads, lines_of(engine, None)))
        engine.catalog.close()
        assert report["ok"], report
        assert stored == dict.fromkeys(ids(range(1, driven.sent + 1)), 1)
        assert report["received"] == report["stored"] == driven.sent * SPANS
