"""Items 73 to 75: the span processor in real processes; what they stored is read by `otel-ext cat`."""

import json
from collections import Counter
from pathlib import Path

from tests.conformance.wire import check
from tests.sdk.agents import agent
from tests.support import objects, run

NO_DISK = """
import resource
def no_disk():  # every write beyond what there is fails with EFBIG; Python ignores the signal
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
"""


def stored(data: Path) -> Counter[str]:
    """Names of stored spans, ours left out."""
    scopes = [
        scope
        for line in objects(run("cat", data))
        for group in line.get("resourceSpans", [])
        for scope in group["scopeSpans"]
    ]
    return Counter(
        span["name"] for s in scopes if not s["scope"]["name"].startswith("otel_ext") for span in s["spans"]
    )


def test_item_73_a_sick_disk(tmp_path: Path) -> None:
    """400 spans on a disk that takes nothing: the program runs through; every span is stored or counted."""
    script = (
        NO_DISK
        + """
import json, logging
logging.disable()
for step in range(100):
    tracer.start_span(f"before {step}").end()
processor.force_flush()
no_disk()
for step in range(400):
    tracer.start_span(f"during {step}").end()
sick = processor.force_flush(200)
processor.shutdown()
say(json.dumps({"sick": sick, "dropped": processor.stats.get("otel_ext.sdk.spans.dropped")}))
"""
    )
    said = json.loads(agent(script, tmp_path, OTEL_EXT_SHUTDOWN_TIMEOUT="1")[0].strip().splitlines()[-1])
    check(said["sick"] is False, "force_flush says True on a disk that takes nothing")
    names = stored(tmp_path)
    check(all(names[f"before {step}"] == 1 for step in range(100)), "lost what was on the disk")
    kept = sum(count for name, count in names.items() if name.startswith("during"))
    check(kept + said["dropped"] == 400, f"stored {kept} and counted {said['dropped']} of 400")


def test_item_74_shutdown_and_flush(tmp_path: Path) -> None:
    """After force_flush a SIGKILL loses nothing; shutdown flushes, and again does nothing."""
    killed, ended = tmp_path / "killed", tmp_path / "ended"
    spans = 'for step in range(50): tracer.start_span(f"step {step}").end()\n'
    agent(spans + "assert processor.force_flush()\nos.kill(os.getpid(), 9)", killed, code=-9)
    check(stored(killed) == {f"step {step}": 1 for step in range(50)}, "lost spans that were flushed")
    agent(spans + "processor.shutdown(); processor.shutdown()\nassert processor.force_flush()", ended)
    check(stored(ended) == {f"step {step}": 1 for step in range(50)}, "lost spans at shutdown")
    script = NO_DISK + "no_disk()\n" + spans + "say(processor.force_flush(100))\nos._exit(0)"
    said = agent(script, tmp_path / "sick", OTEL_EXT_SHUTDOWN_TIMEOUT="1")[0]
    check(said.split()[-1] == "False", "force_flush says True on a disk that takes nothing")


def test_item_75_after_a_fork(tmp_path: Path) -> None:
    """Parent and child each have a folder; every span is stored once."""
    script = """
tracer.start_span("before").end()
child = os.fork()
if not child:
    for step in range(50): tracer.start_span(f"child {step}").end()
    processor.shutdown()
    os._exit(0)
for step in range(50): tracer.start_span(f"parent {step}").end()
os.waitpid(child, 0)
"""
    agent(script, tmp_path)
    both = {f"{who} {step}": 1 for who in ("child", "parent") for step in range(50)}
    check(stored(tmp_path) == {"before": 1, **both}, "lost or doubled spans around a fork")
    check(len(list(tmp_path.glob("engines/*"))) == 2, "wrote both into one folder")
