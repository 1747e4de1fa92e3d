"""What the detectors cost: CPU a step with and without each rule, memory a lane, and how many were forgotten.

    python -m tests.bench.signals [--repeats N]

CPU is this thread's own, the least of N runs; ratios to the frame without any rule are what to compare
between machines. Memory is what Python allocated for lanes.
"""

import argparse
import gc
import random
import time
import tracemalloc
from collections.abc import Sequence
from typing import Final, NamedTuple

from otel_ext.pipeline.reorder import CLOSE, Happening
from otel_ext.signals import RULES, Settings, Signals
from otel_ext.signals.findings.episodes import EVICTIONS
from otel_ext.signals.settings import SECOND
from otel_ext.testing import AgentRun, in_order, steps_of
from otel_ext.testing.arbitrary import busy_steps

KIB: Final = 1 << 10
MIB: Final = 1 << 20


def working(seed: int, rounds: int = 120) -> AgentRun:
    """An agent at work: it searches, reads, edits, tests, sometimes fails and sometimes repeats itself."""
    chance, run = random.Random(seed), AgentRun(f"agent {seed}")
    run.user("mend the build")
    for number in range(rounds):
        name = f"/src/module_{chance.randrange(40)}.py"
        match chance.randrange(8):
            case 0 | 1 | 2:
                run.call("read_file", {"path": name, "offset": 10 * number}, f"def f{number}(): ...\n" * 30)
            case 3:
                run.call("grep", {"pattern": f"name_{chance.randrange(90)}"}, f"{name}:{number}: hit\n" * 5)
            case 4 | 5:
                change = {"path": name, "old_string": f"a{number}", "new_string": f"b{number}"}
                run.write(change, "The file was edited.")
            case 6:
                run.call("bash", {"command": "pytest -q"}, f"{number} passed in 3 s")
            case _:
                run.fail("bash", {"command": f"make target{number}"}, f"Exit code 2: no rule {number}")
        if number % 20 == 19:
            run.think(f"So far so good, {number} rounds of work are done and the next thing is clear.")
    return run


def cost(happenings: Sequence[Happening], rules: Sequence[type], repeats: int, settings: Settings) -> float:
    """CPU a step in µs, the least of some runs."""
    best = float("inf")
    for _ in range(repeats):
        signals = Signals(settings, rules)
        gc.collect()
        gc.disable()
        began = time.thread_time_ns()
        for one in happenings:
            (signals.close if one.phase == CLOSE else signals.open)(one.step, one.time)
        best = min(best, time.thread_time_ns() - began)
        gc.enable()
    return best / len(happenings) / 1000


class Memory(NamedTuple):
    """Of a lane, on average: bytes allocated, bytes dumped, keys forgotten, tracks held."""

    held: float
    dumped: float
    forgotten: float
    tracks: float


def memory(lanes: int, each: int, rules: Sequence[type], settings: Settings) -> Memory:
    """What lanes take through which many steps went, most of them different."""
    chance, signals = random.Random(3), Signals(settings, rules)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    dumped = dict[str, bytes]()
    for number in range(lanes):
        trace_id, lane = number.to_bytes(16, "big"), b"lane-of-"
        for step in busy_steps(chance, each):
            step.trace_id, step.parent_id, step.user_turns = trace_id, lane, None
            for name in ("arguments_hash", "result_hash", "error_hash"):
                if getattr(step, name) is not None and chance.random() < 0.5:
                    setattr(step, name, chance.randbytes(16))
            signals.open(step, number * SECOND)
        dumped.update(signals.dump())
    gc.collect()
    held = tracemalloc.get_traced_memory()[0] - before - sum(map(len, dumped.values()))
    tracemalloc.stop()
    tracks = sum(len(table) for lane in signals._lanes.values() for table in lane.tables.values())
    forgotten = signals.counters.get(EVICTIONS, 0)
    return Memory(held / lanes, sum(map(len, dumped.values())) / lanes, forgotten / lanes, tracks / lanes)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    settings = Settings()
    runs = [working(seed) for seed in range(4)]
    spans = [span for run in runs for span in run.spans()]
    began = time.thread_time_ns()
    steps = steps_of(spans)
    read = (time.thread_time_ns() - began) / len(spans) / 1000
    happenings = in_order(steps)
    bare = cost(happenings, [], repeats, settings)
    whole = cost(happenings, RULES, repeats, settings)
    unwatched = cost(happenings, RULES, repeats, Settings(budget=0))
    print(f"{len(steps):,} steps of {len(runs)} agents at work, {len(RULES)} rules")
    print(f"reading a span (its bytes to a step)  {read:6.1f} us")
    print(f"the frame without rules               {bare:6.1f} us a step")
    print(f"all rules                             {whole:6.1f} us a step   {whole / bare:.1f} x the frame")
    print(f"  of it watching them                 {whole - unwatched:6.1f} us")
    print("each rule alone, above the frame:")
    alone = {rule.signal: cost(happenings, [rule], repeats, settings) - bare for rule in RULES}
    for signal, extra in sorted(alone.items(), key=lambda item: -item[1]):
        print(f"  {signal:<32} {extra:6.2f} us   {extra / bare:5.2f}")
    print(f"  sum {sum(alone.values()):.1f} us")
    for title, each in (("a lane of 40 steps", 40), ("a full lane (2,000 different steps)", 2000)):
        lane = memory(12, each, RULES, settings)
        frame = memory(12, each, [], settings).held
        track = (lane.held - frame) / lane.tracks
        print(f"{title}: {lane.held / KIB:.0f} KiB, {frame / KIB:.0f} KiB of it the frame's")
        print(f"  {lane.tracks:.0f} tracks of {track:.0f} bytes, {lane.forgotten:.0f} keys forgotten")
        print(f"  {lane.dumped / KIB:.0f} KiB dumped")
        print(f"  all {settings.tracks} tracks: {settings.tracks * track / MIB:.0f} MiB")


if __name__ == "__main__":
    main()
