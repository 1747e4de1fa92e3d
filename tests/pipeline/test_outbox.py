"""The outbox: what goes out is what the files hold; cursors, budgets, crashes."""

import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_ext import otlp
from otel_ext.cli.folder import engines, lines_of
from otel_ext.cli.verify import check_engine
from otel_ext.errors import Busy
from otel_ext.files import RealFiles
from otel_ext.journal import Position
from otel_ext.pipeline import Batch, Destination, Engine, EngineSettings, Feed, Outcome, reindex
from otel_ext.pipeline.outbox.cursor import Cursor, Tally
from otel_ext.testing import CrashableFiles, FailingFiles, ManualClock, PowerCut
from tests.builders import START, looping_run, request, span
from tests.support import until

UNKNOWN = b"\xc2\x3e\x03abc"
FAR = Destination(name="otlp/far", budget=1 << 30)
SETTINGS = EngineSettings(
    idle_timeout=30.0, hold=0.5, segment_bytes=6000, min_free=0, reserve=0, checkpoint_interval=1.0
)


class World:
    """An engine driven by hand, with destinations."""

    def __init__(self, data: Path, *destinations: Destination, **settings: Any) -> None:
        self.data, self.destinations = data, destinations
        self.settings = EngineSettings(**{**_fields(SETTINGS), **settings})
        self.clock = ManualClock(START)
        self.open()

    def open(self, destinations: Sequence[Destination] | None = None) -> None:
        """Start, also after a death."""
        known = self.destinations if destinations is None else destinations
        self.engine = Engine(self.data, self.settings, clock=self.clock, destinations=known)

    def send(self, body: bytes) -> None:
        """Accept and process."""
        self.engine.intake.accept(body)
        self.process()

    def process(self) -> None:
        """Process all there is."""
        while self.engine.outbox.end < self.engine.journal.readable_end:
            self.engine.step()

    def checkpoint(self) -> None:
        """Take one now."""
        self.clock.advance(2 * 10**9)
        self.engine.tick(self.clock.now())
        self.process()

    def die(self) -> None:
        """As by SIGKILL, and start again."""
        self.engine.abandon()
        self.open()

    @property
    def feed(self) -> Feed:
        """The first destination's."""
        return self.engine.outbox.feeds[self.destinations[0].name]

    def stop(self) -> None:
        """Process all, save, close."""
        self.engine.start()
        assert self.engine.close()


def _fields(settings: EngineSettings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in settings.__struct_fields__}


def batches(feed: Feed, size: int = 1) -> Iterator[Batch]:
    """What is there; each batch has to be done before the next is asked for, or not at all."""
    while (batch := feed.read(size, 0.0)) is not None:
        yield batch


def deliver(feed: Feed, size: int = 1) -> list[Batch]:
    """Take everything as delivered."""
    taken = []
    for batch in batches(feed, size):
        feed.done(batch, Outcome(sent=batch.items))
        taken.append(batch)
    return taken


def raws(taken: Sequence[Batch]) -> list[bytes]:
    """Spans as they went out."""
    return [r for b in taken for part in b.parts for group in otlp.split(part.body) for r in group[4]]


def key(item: dict[str, Any]) -> str:
    """A span's JSON as one comparable text."""
    return json.dumps(item, sort_keys=True)


def stored(data: Path) -> Counter[str]:
    """Every span in the files, derived ones too."""
    found = Counter[str]()
    for engine in engines(data):
        for line in map(json.loads, lines_of(engine, None)):
            for r in line["resourceSpans"]:
                found.update(key(s) for c in r["scopeSpans"] for s in c["spans"])
    return found


def sent(taken: Sequence[Batch]) -> Counter[str]:
    """Every span that went out, in the words of the files."""
    return Counter(key(json.loads(otlp.span_json(raw))) for raw in raws(taken))


def workload(seed: int) -> list[bytes]:
    """Requests with everything that makes what goes out differ from what came."""
    rng = random.Random(seed)
    spans: list[Span] = [s for n in range(1, 4) for s in looping_run(n, f"s{n % 2}", rounds=5)]
    for n in range(30):
        made = span(20 + n % 5, 90_000 + n, parent=1)
        match n % 6:
            case 0:  # milliseconds
                made.start_time_unix_nano //= 10**6
                made.end_time_unix_nano //= 10**6
            case 1:
                made.end_time_unix_nano = 0
            case 2:  # no unit fits: set to 0
                made.start_time_unix_nano = 12345
            case 3:
                made.MergeFromString(UNKNOWN)
            case 4:
                made.start_time_unix_nano, made.end_time_unix_nano = 2**64 - 1, 5
        spans.append(made)
    rng.shuffle(spans)
    bodies = []
    while spans:
        size = rng.randint(1, 5)
        again = rng.sample(spans[:size], 1) if rng.random() < 0.4 else []
        bodies.append(request(*spans[:size], *again))
        spans = spans[size:]
    bodies += rng.sample(bodies, 4)
    for body in rng.sample(bodies, 3):  # conflicts, unknown fields and marks among them
        raw = next(otlp.split(body))[4][0]
        bodies.append(otlp.request_of(b"", b"", raw + otlp.addition((("note", "other"),)) + UNKNOWN))
    rng.shuffle(bodies)
    return bodies


@pytest.mark.parametrize("seed", range(4))
def test_what_goes_out_is_what_the_files_hold(tmp_path: Path, seed: int) -> None:
    """Repaired times, marks, conflicts, findings: the same in both, each once; what came, bit for bit."""
    world = World(tmp_path, FAR)
    bodies = workload(seed)
    for body in bodies:
        world.clock.advance(10**8)
        world.send(body)
    world.stop()
    world.open()
    taken = deliver(world.feed, 10_000)
    world.engine.abandon()
    assert sent(taken) == stored(tmp_path)
    (engine,) = engines(tmp_path)
    ledger = engine.catalog.meta()["ledger"]
    engine.catalog.close()
    assert ledger["duplicate"] > 0 < ledger["conflicts"]
    assert ledger["derived"] > 0
    assert len(raws(taken)) == ledger["stored"] + ledger["derived"]
    came = {raw for body in bodies for group in otlp.split(body) for raw in group[4]}
    for raw in raws(taken):
        if b"detect " not in raw:
            assert any(raw.startswith(one) for one in came), "a span's own bytes stand unchanged"


@pytest.mark.parametrize("seed", range(6))
def test_after_a_death_the_same_goes_out(tmp_path: Path, seed: int) -> None:
    """Killed at random, before and after checkpoints: repeats only of what was under way, byte for byte."""
    rng = random.Random(seed)
    world = World(tmp_path, FAR)
    taken: list[Batch] = []
    under_way: list[Batch] = []
    for body in workload(seed):
        world.clock.advance(10**8)
        world.send(body)
        if rng.random() < 0.3:
            world.checkpoint()
        if rng.random() < 0.5:
            taken += deliver(world.feed, rng.choice([1, 500, 10_000]))
        elif rng.random() < 0.5:
            read = world.feed.read(1, 0.0)
            under_way += [read] if read else []
        if rng.random() < 0.25:
            world.engine.abandon()
            world.open()
            world.process()
            again = deliver(world.feed, 1)
            repeated = [raw for batch in under_way for raw in raws([batch])]
            assert raws(again)[: len(repeated)] == repeated
            taken += again
            under_way = []
        elif under_way:
            for each in under_way:
                world.feed.done(each, Outcome(sent=each.items))
            taken += under_way
            under_way = []
    world.stop()
    world.open()
    taken += deliver(world.feed)
    tally = world.feed.cursor.tally
    world.engine.abandon()
    assert sent(taken) == stored(tmp_path)
    assert tally.received == tally.sent == len(raws(taken))


def test_old_entries_come_from_the_catalog_and_leave_it(tmp_path: Path) -> None:
    """A destination that is far behind gets what it should; the catalog is empty once it has it."""
    world = World(tmp_path, FAR)
    bodies = workload(7)
    for number, body in enumerate(bodies):
        world.send(body)
        if number % 3 == 0:
            world.checkpoint()
    assert world.engine._folder.catalog.outbox((0, 0), (9**9, 0))
    world.die()
    world.process()
    taken = deliver(world.feed, 3000)
    world.checkpoint()
    world.checkpoint()
    taken += deliver(world.feed)
    world.checkpoint()
    assert not world.engine._folder.catalog.outbox((0, 0), (9**9, 0))
    world.engine.abandon()
    world.open()
    world.stop()
    world.open()
    taken += deliver(world.feed)
    world.engine.abandon()
    assert sent(taken) == stored(tmp_path)


def test_the_journal_waits_for_the_slowest_and_only_for_those_that_exist(tmp_path: Path) -> None:
    """Segments go when every cursor has passed; one that is gone from the settings holds nothing."""
    slow = Destination(name="slow", budget=1 << 30)
    world = World(tmp_path, FAR, slow)

    def segments() -> int:
        return len(list((tmp_path / "engines/main/journal").glob("*.journal")))

    for n in range(40):
        world.send(request(span(5, 50_000 + n, session__id="s", text="x" * 500)))
        deliver(world.feed)
    world.checkpoint()
    assert segments() > 3
    world.engine.abandon()
    # Whoever does not know the destinations (a repair) lets go of nothing.
    unknowing = Engine(tmp_path, world.settings, clock=world.clock)
    unknowing.start()
    assert unknowing.close()
    assert segments() > 3
    world.open()
    world.process()
    late = deliver(world.engine.outbox.feeds["slow"])
    assert len(raws(late)) == 40
    world.engine.abandon()
    world.open([FAR])
    world.process()
    deliver(world.feed)
    world.checkpoint()
    world.checkpoint()
    assert segments() <= 2
    assert [p.name for p in (tmp_path / "engines/main/forward").iterdir()] == ["otlp%2Ffar.cursor"]
    world.engine.abandon()


def test_a_new_destination_starts_at_the_present(tmp_path: Path) -> None:
    """What was processed before it was named is not sent to it; an old one goes on where it was."""
    world = World(tmp_path, FAR)
    world.send(request(span(1, 70_001, session__id="s")))
    world.checkpoint()
    world.engine.abandon()
    new = Destination(name="new", budget=1 << 30)
    world.open([FAR, new])
    world.send(request(span(1, 70_002, session__id="s")))
    feeds = world.engine.outbox.feeds
    assert [_number(r) for r in raws(deliver(feeds["new"]))] == [70_002]
    assert [_number(r) for r in raws(deliver(feeds["otlp/far"]))] == [70_001, 70_002]
    world.engine.abandon()


def _number(raw: bytes) -> int:
    return int.from_bytes(otlp.parse(raw).span_id, "big")


def test_a_full_budget_gives_up_the_oldest_and_counts_it(tmp_path: Path) -> None:
    """Only what lies beyond the budget is old enough to be dropped; the newest still goes out."""
    world = World(tmp_path, Destination(name="dead", budget=5000))
    for n in range(40):
        world.send(request(span(5, 50_000 + n, session__id="s", text="x" * 500)))
    kept, dropped = [], 0
    while (batch := world.feed.read(1, 0.0)) is not None:
        over = world.feed.over(batch)
        assert over or world.feed.queue_bytes <= 5000
        kept += [] if over else raws([batch])
        dropped += batch.items if over else 0
        world.feed.done(batch, Outcome(overflow=batch.items) if over else Outcome(sent=batch.items))
    assert [_number(raw) for raw in kept] == list(range(50_000 + dropped, 50_040))
    assert 4 <= len(kept) <= 8
    tally = world.feed.cursor.tally
    assert (tally.received, tally.overflow, tally.sent, tally.balance) == (40, dropped, len(kept), 0)
    world.engine.abandon()


def test_a_destination_that_acknowledges_holds_the_answer_and_the_intake(tmp_path: Path) -> None:
    """`ack: forwarded`: no OK before it is delivered, Busy when its budget is full, nothing of it dropped."""
    world = World(
        tmp_path,
        Destination(name="far", budget=4000, acknowledges=True),
        forward_wait=0.05,
        checkpoint_interval=0.1,
    )
    body = request(span(5, 50_000, session__id="s", text="x" * 5000))
    world.engine.start()
    with pytest.raises(Busy, match="not delivered"):
        world.engine.intake.accept(body)
    assert world.feed.drained(0.0) is False
    until(lambda: world.feed.queue_bytes > 4000, "it to be processed")
    with pytest.raises(Busy, match="4000 bytes wait for far"):
        world.engine.intake.accept(body)
    first = world.feed.read(1, 10.0)
    assert first is not None
    assert not world.feed.over(first)
    world.feed.done(first, Outcome(sent=1))
    with pytest.raises(Busy, match="not delivered"):
        world.engine.intake.accept(body)
    assert deliver(world.feed) == [], "re-deliveries do not go out"
    assert world.engine.close()


def test_a_destination_that_takes_nothing_is_not_waited_for_twice(tmp_path: Path) -> None:
    """After one request waited in vain others are refused unread, until the destination moves."""
    far = Destination(name="far", budget=1 << 30, acknowledges=True)
    world = World(tmp_path, far, forward_wait=0.01)
    with pytest.raises(Busy, match="not delivered within"):
        world.engine.intake.accept(request(span(1, 1)))
    end = world.engine.journal.readable_end
    for _ in range(3):
        with pytest.raises(Busy, match="takes nothing"):
            world.engine.intake.accept(request(span(1, 2)))
    assert world.engine.journal.readable_end == end
    world.process()
    deliver(world.feed)
    assert world.engine.intake.refusal() is None
    world.engine.abandon()


def test_no_room_on_the_disk_shrinks_budgets(tmp_path: Path) -> None:
    """Before intake would be refused for want of space, what waits for a dead destination is given up."""
    world = World(tmp_path, FAR)
    for n in range(40):
        world.send(request(span(5, 50_000 + n, session__id="s", text="x" * 500)))
    first = world.feed.read(1, 0.0)
    assert first is not None
    assert not world.feed.over(first)
    world.feed.squeeze(1 << 40, 6000)
    assert world.feed.over(first)
    left = [b for b in batches(world.feed) if not world.feed.over(b)]
    assert 4 < len(left) < 12
    world.feed.squeeze(-1, 6000)
    assert not world.feed.over(first)
    world.engine.abandon()


def test_records_are_joined_up_to_a_size_and_never_split(tmp_path: Path) -> None:
    """A batch holds whole records of one telemetry; joined they are one request of all their spans."""
    world = World(tmp_path, FAR)
    for n in range(20):
        world.send(request(span(5, 50_000 + 2 * n), span(5, 50_001 + 2 * n)))
    size = len(request(span(5, 50_000), span(5, 50_001)))
    found = deliver(world.feed, size * 3 + 10)
    assert {len(batch.parts) for batch in found[:-1]} == {3}
    joined = [r for b in found for g in otlp.split(b"".join(p.body for p in b.parts)) for r in g[4]]
    assert [_number(raw) for raw in joined] == list(range(50_000, 50_040))
    world.engine.abandon()


def test_order_of_ends_does_not_matter(tmp_path: Path) -> None:
    """With several batches under way the cursor passes them in order, whichever is done first."""
    world = World(tmp_path, FAR)
    for n in range(6):
        world.send(request(span(5, 50_000 + n)))
    found = list(batches(world.feed))
    start = world.feed.cursor.position
    for batch in reversed(found[1:]):
        world.feed.done(batch, Outcome(sent=1))
        assert world.feed.cursor.position == start
    world.feed.done(found[0], Outcome(rejected=1))
    assert world.feed.cursor.position == found[-1].end
    assert world.feed.cursor.tally == Tally(received=6, sent=5, rejected=1)
    world.engine.abandon()


def test_derived_only_gets_findings_wherever_they_come_from(tmp_path: Path) -> None:
    """Our own, and those of another engine that were received; nothing else."""
    world = World(tmp_path, Destination(name="d", budget=1 << 30, derived_only=True))
    world.send(request(*looping_run(1, "s")))
    foreign = otlp.request_of(b"", b"\x0a\x08otel_ext", span(9, 91_000).SerializeToString())
    other = request(span(9, 91_001))
    world.send(other + foreign)
    world.checkpoint()
    found = [Span.FromString(raw) for raw in raws(deliver(world.feed))]
    assert [s.name for s in found if not s.name.startswith("detect ")] == ["span 91000"]
    assert len(found) > 1
    world.engine.abandon()


@pytest.mark.parametrize("findings", ["after their spans", "before them"])
def test_two_engines_in_a_row_tell_each_finding_once(tmp_path: Path, findings: str) -> None:
    """The second one finds the same, before or after it is told: one span each, also on to the third."""
    first = World(tmp_path / "first", FAR)
    for number in range(3):
        first.send(request(*looping_run(number, f"s{number}", rounds=6)))
    first.stop()
    first.open()
    bodies = [part.body for batch in deliver(first.feed) for part in batch.parts]
    first.engine.abandon()
    bodies.sort(key=lambda body: (b"detect loop" in body) == (findings == "after their spans"))
    second = World(tmp_path / "second", FAR)
    for body in bodies:
        second.send(body)
    second.stop()
    second.open()
    taken = deliver(second.feed)
    ledger = second.engine.ledger
    second.engine.abandon()
    loops = Counter({each: count for each, count in stored(first.data).items() if "detect loop" in each})
    assert loops
    assert Counter({each: n for each, n in stored(second.data).items() if "detect loop" in each}) == loops
    assert sent(taken) == stored(second.data)
    assert ledger["received"] == ledger["stored"] + ledger["duplicate"]
    reindex(second.data / "engines/main", RealFiles())
    second.open()
    for body in bodies:
        second.send(body)
    second.stop()
    assert set(stored(second.data).values()) == {1}
    (engine,) = engines(second.data)
    assert check_engine(engine)["ok"]
    engine.catalog.close()


def test_a_damaged_cursor_file_loses_nothing(tmp_path: Path) -> None:
    """Its place is not known any more: what the journal holds goes out, also after a command's visit."""
    world = World(tmp_path, FAR)
    for number in range(3):
        world.send(request(*looping_run(number, f"s{number}")))
        world.checkpoint()
    world.stop()
    (path,) = (tmp_path / "engines/main/forward").glob("*.cursor")
    path.write_bytes(b"\0" * path.stat().st_size)
    visitor = Engine(tmp_path, world.settings, clock=world.clock)  # knows of no destinations
    visitor.start()
    assert visitor.close()
    world.open()
    world.process()
    taken = deliver(world.feed)
    tally = world.feed.cursor.tally
    world.engine.abandon()
    assert sent(taken) == stored(tmp_path)
    assert tally == Tally(received=sum(b.items for b in taken), sent=sum(b.items for b in taken))


def test_a_record_that_is_given_up_goes_out_as_it_came(tmp_path: Path) -> None:
    """What an earlier try to process it said of it is void."""
    world = World(tmp_path, FAR)
    world.engine.intake.accept(request(span(1, 1), span(1, 2)))
    outbox = world.engine.outbox
    (record,) = world.engine.journal.read(outbox.end, 1)
    outbox.begin().leave_out(0)
    outbox.add(record)
    outbox.begin()
    outbox.add(record)
    outbox.publish(record.end)
    (batch,) = deliver(world.feed)
    assert batch.items == len(raws([batch])) == 2
    world.engine.abandon()


def test_what_waits_is_no_damage_and_survives_a_new_catalog(tmp_path: Path) -> None:
    """A journal that is kept for a destination pleases `verify`; after `reindex` it still goes out."""
    world = World(tmp_path, FAR)
    for body in workload(3):
        world.clock.advance(10**9)
        world.send(body)
        world.checkpoint()
    world.stop()
    (engine,) = engines(tmp_path, recover=False)
    assert check_engine(engine)["ok"]
    engine.catalog.close()
    reindex(tmp_path / "engines/main", RealFiles())
    world.open()
    world.process()
    out = Counter(raw[:60] for raw in raws(deliver(world.feed)) if b"detect " not in raw)
    world.engine.abandon()
    (engine,) = engines(tmp_path)
    assert check_engine(engine)["ok"]
    engine.catalog.close()
    assert len(out) >= 45


def test_a_cursor_survives_every_power_cut_and_torn_write() -> None:
    """At each operation: what comes back is a place that was written, never before the last synced one."""
    cuts = 0
    for point in range(3, 60):
        for seed in (None, 1, 2):
            disk = CrashableFiles(crash_at=point)
            synced, written = Position(0, 0), [Position(0, 0)]
            try:
                disk.make_directory("/f")
                cursor = Cursor(disk, "/f", "x", Position(0, 0), Position(0, 0))
                for n in range(1, 6):
                    written.append(Position(1, n))
                    cursor.move(Position(1, n), Tally(received=n, sent=n))
                    if n % 2 == 0:
                        cursor.sync()
                        synced = Position(1, n)
            except PowerCut:
                cuts += 1
            left = disk.crash(random.Random(seed) if seed else None)
            if not left.exists("/f"):
                continue
            again = Cursor(left, "/f", "x", Position(0, 0), Position(0, 0))
            assert synced <= again.position
            assert again.position in written
            assert again.tally.sent == again.position.offset
    assert cuts > 30


@pytest.mark.parametrize("forgetful", [False, True])
def test_a_cursor_on_a_failing_disk(*, forgetful: bool) -> None:
    """Each operation fails once: nothing is raised where it moves, and only what was synced is promised."""
    for at in range(1, 40):
        disk = CrashableFiles()
        disk.make_directory("/f")
        failing = FailingFiles(
            disk,
            fail_at=at,
            short=True,
            forgetful=forgetful,
            on={"append", "sync", "create", "rename", "sync_directory", "size"},
        )
        promised = Position(0, 0)
        try:
            cursor = Cursor(failing, "/f", "x", Position(0, 0), Position(0, 0))
        except OSError:
            continue
        for n in range(1, 8):
            cursor.move(Position(1, n), Tally(received=n, sent=n))
            try:
                cursor.sync()
            except OSError:
                assert cursor.durable == promised
            else:
                promised = Position(1, n)
                assert cursor.durable == promised
        cursor.sync()  # at most one failure: now it is there
        again = Cursor(disk.crash(), "/f", "x", Position(0, 0), Position(0, 0))
        assert again.position == cursor.durable == Position(1, 7)
