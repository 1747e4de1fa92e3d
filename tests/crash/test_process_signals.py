"""Signals under load: a polite end is clean, and neither a kill nor a stop for a while loses anything.

SIGTERM, SIGINT and SIGHUP (a terminal that closes, unless `nohup` has it ignored) ask for a clean end: calls
inside are finished, everything accepted is processed and saved, exit code 0. A second one changes nothing.
"""

import random
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from tests.crash.checks import check
from tests.crash.load import Load, ids
from tests.support import ServerProcess, child, objects, run, serve, server, until

CONFIG = "service: {checkpoint_interval: 300ms}\n"
RETRYABLE = {
    "CANCELLED",
    "DEADLINE_EXCEEDED",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNAVAILABLE",
    "DATA_LOSS",
}
"""Codes after which an OTLP client sends again (OTLP specification, "Failures")."""


def state(process: ServerProcess) -> str:
    """The scheduler's letter for a process: T is stopped (proc(5))."""
    assert process.process is not None
    return Path(f"/proc/{process.process.pid}/stat").read_text().rpartition(")")[2].split()[0]


def draining(process: ServerProcess) -> bool:
    """Whether the server no longer listens (or is gone)."""
    assert process.process is not None
    port = f":{int(process.endpoint.rpartition(':')[2]):04X} "
    listening = [line for line in Path("/proc/net/tcp").read_text().splitlines() if line.split()[3] == "0A"]
    return not any(port in line for line in listening)


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGHUP, pytest.param(signal.SIGINT, marks=pytest.mark.long)]
)
def test_a_polite_end_under_load(tmp_path: Path, number: signal.Signals) -> None:
    """Exit code 0, all acknowledged is stored; senders are told to retry, and the successor takes it."""
    if signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip("ignored here, as under nohup, and so by all that is started")
    with server(tmp_path / "data", CONFIG) as process:
        with Load(process) as load:
            load.wait_for(100)
            process.stop(number)
            acknowledged = ids(load.acknowledged.copy())
            check(tmp_path / "data", acknowledged, ids(load.attempted.copy()))  # without any successor
            process.start()
            load.wait_for(100)
        assert load.codes <= RETRYABLE
        process.stop()
    check(tmp_path / "data", ids(load.acknowledged), ids(load.attempted))


def test_sighup_of_a_server_under_nohup_is_ignored(tmp_path: Path) -> None:
    """A signal that the caller had ignored stays ignored: `nohup otel-ext serve` outlives its terminal."""
    call = serve(tmp_path)
    with child(["nohup", *call], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready ")
        ignored = next(
            int(line.split()[1], 16)
            for line in Path(f"/proc/{process.pid}/status").read_text().splitlines()
            if line.startswith("SigIgn:")
        )
        assert ignored & 1 << signal.SIGHUP - 1
        process.send_signal(signal.SIGHUP)
        process.terminate()
        assert process.wait() == 0


@pytest.mark.parametrize(("rounds", "seed"), [(2, 1), pytest.param(40, 2, marks=pytest.mark.long)])
def test_a_second_signal_or_a_kill_during_the_drain(tmp_path: Path, rounds: int, seed: int) -> None:
    """While it drains, a second SIGTERM changes nothing, and a SIGKILL loses nothing."""
    rng = random.Random(seed)
    with server(tmp_path / "data", CONFIG) as process:
        with Load(process) as load:
            for number in range(rounds):
                load.wait_for(rng.randrange(20, 150))
                process.signal(signal.SIGTERM)
                if number % 2:
                    until(lambda: draining(process), "the drain")
                    process.stop(rng.choice([signal.SIGTERM, signal.SIGINT, signal.SIGHUP]))
                else:
                    threading.Event().wait(rng.uniform(0.0, 0.1))  # the moment of the kill is what is random
                    process.kill()
                process.start()
            load.wait_for(50)
        process.stop()
    check(tmp_path / "data", ids(load.acknowledged), ids(load.attempted))


def test_a_server_that_is_stopped_for_a_while_goes_on(tmp_path: Path) -> None:
    """SIGSTOP until every sender's call has timed out, SIGCONT: nothing lost, nothing stored twice."""
    with server(tmp_path / "data", CONFIG) as process:
        with Load(process, senders=3, patience=0.5) as load:
            for _ in range(2):
                load.wait_for(50)
                process.signal(signal.SIGSTOP)
                until(lambda: state(process) == "T", "the stop")
                load.wait_for_refusal("Deadline")
                process.signal(signal.SIGCONT)
            load.wait_for(50)
        process.stop()
    check(tmp_path / "data", ids(load.acknowledged), ids(load.attempted))
    assert load.codes <= RETRYABLE


@pytest.mark.parametrize("rounds", [3, pytest.param(150, marks=pytest.mark.long)])
def test_a_stop_at_the_instant_of_readiness(tmp_path: Path, rounds: int) -> None:
    """Asked to end the moment it said that it is ready, it ends (a signal handler's lock once hung here)."""
    with ServerProcess(tmp_path / "data", CONFIG) as process:
        for _ in range(rounds):
            process.start()
            process.stop()


def test_a_start_that_is_told_to_stop_at_once(tmp_path: Path) -> None:
    """SIGTERM at any moment of the start: it ends, and what it left can be started."""
    rng = random.Random(1)
    call = serve(tmp_path / "data")
    for _ in range(4):
        with child(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            threading.Event().wait(rng.uniform(0.1, 0.6))  # the moment of the signal is what is random
            process.terminate()
            _, errors = process.communicate()
            # Before Python runs our code the signal ends it as it ends any program.
            assert process.returncode in {0, -signal.SIGTERM}
            assert "Traceback" not in errors
    with server(tmp_path / "data", CONFIG) as started:
        started.stop()
    assert objects(run("verify", tmp_path / "data", "--json"))[0]["ok"]
