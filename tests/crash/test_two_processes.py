"""Two processes on one folder: one writer at most, and readers that never see half of anything."""

import json
import os
import subprocess
import threading
from pathlib import Path

import pytest

from tests.crash.checks import check, count, refused_start
from tests.crash.load import SPANS, Load, ids
from tests.support import objects, run, serve, server, until

CONFIG = "service: {checkpoint_interval: 50ms}\nexporters: {file: {rotation: {max_megabytes: 1}}}\n"


def owner(data: Path) -> Path:
    """The file that names the owner."""
    return data / "engines/main/LOCK"


def test_a_second_server_is_refused_and_the_first_unharmed(tmp_path: Path) -> None:
    """Exit code 2 and the owner's process id, again and again under load; the owner does not notice."""
    data = tmp_path / "data"
    with server(data, CONFIG) as process:
        assert process.process is not None
        with Load(process) as load:
            for _ in range(2):
                load.wait_for(20)
                assert f"process {process.process.pid};" in refused_start(data)
            load.wait_for(20)
        assert not load.refusals
        process.stop()
    check(data, ids(load.acknowledged), ids(load.attempted))


@pytest.mark.parametrize("racing", [10, pytest.param(20, marks=pytest.mark.long)])
def test_of_many_racing_starts_exactly_one_wins(tmp_path: Path, racing: int) -> None:
    """Many servers start at once on a folder that is not there yet: one serves, the others say why not."""
    data = tmp_path / "data"
    call = serve(data)
    pipe = subprocess.PIPE
    with server(tmp_path / "other", CONFIG):  # a neighbour with its own folder disturbs nobody
        racers = [subprocess.Popen(call, stdout=pipe, stderr=pipe, text=True) for _ in range(racing)]
        try:
            lines = [racer.stdout.readline() for racer in racers if racer.stdout is not None]
            (winner,) = [
                racer for racer, line in zip(racers, lines, strict=True) if line.startswith("ready ")
            ]
            assert winner.poll() is None
            assert owner(data).read_text() == f"{winner.pid}\n"
            for racer in racers:
                if racer is not winner:
                    _, errors = racer.communicate()
                    assert racer.returncode == 2
                    # Whoever looks before the winner has written its id finds none.
                    assert f"in use by process {winner.pid};" in errors or "by process unknown;" in errors
            winner.terminate()
            winner.communicate()
            assert winner.returncode == 0
        finally:
            for racer in racers:
                racer.kill()
                racer.communicate()
    assert objects(run("verify", data, "--json"))[0]["ok"]


def test_the_text_in_the_lock_blocks_nobody(tmp_path: Path) -> None:
    """Killed, a server leaves its id in LOCK; that, a reused id or any other text keeps nobody out."""
    data = tmp_path / "data"
    reused = f"{os.getpid()}\n"  # of a live process that has nothing to do with it
    with server(data, CONFIG) as process:
        for text in (None, reused, "", "no number \U0001f512\n" * 1000):
            assert process.process is not None
            assert owner(data).read_text() == f"{process.process.pid}\n"
            process.kill()
            if text is not None:
                owner(data).write_text(text)
            process.start()
        process.stop()


class Reader(threading.Thread):
    """Runs one command again and again; what is wrong with what it printed is in `wrong`."""

    def __init__(self, command: str, data: Path, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.command, self.data, self.stop = command, data, stop
        self.runs = self.grown = self.most = 0
        self.wrong: list[str] = []

    def run(self) -> None:
        """Read until told to stop or until something is wrong."""
        while not self.stop.is_set() and not self.wrong:
            try:
                spans = self._look()
            except AssertionError as error:
                self.wrong.append(str(error)[:2000])
                return
            self.runs += 1
            self.grown += spans > self.most
            if spans < self.most or spans % SPANS:
                self.wrong.append(f"{spans} spans after {self.most}")
            self.most = spans

    def _look(self) -> int:
        if self.command == "verify":
            (report,) = objects(run("verify", self.data, "--json"))  # exit 1 on any damage
            assert report["received"] == report["stored"] + report["duplicate"], report
            return int(report["stored"])
        if self.command == "cat":
            stored, derived = count(map(json.loads, run("cat", self.data).splitlines()))
            assert set((stored + derived).values()) <= {1}
            return len(stored)
        rows = objects(run(self.command, self.data, "--json"))
        return sum(row["spans"] for row in rows) if self.command == "sessions" else SPANS * len(rows)


def test_readers_beside_a_live_writer(tmp_path: Path) -> None:
    """A checkpoint every 50 ms, files that rotate: no reader fails, or sees half, or less than before."""
    data = tmp_path / "data"
    stop = threading.Event()
    readers = [Reader(command, data, stop) for command in ("sessions", "signals", "cat", "verify")]
    with server(data, CONFIG) as process, Load(process, senders=2) as load:
        load.wait_for(20)
        until(lambda: bool(process.looked_up()), "a checkpoint")
        for reader in readers:
            reader.start()
        until(lambda: all(r.grown >= 2 or r.wrong for r in readers), "every reader to see it grow")
        stop.set()
        for reader in readers:
            reader.join()
        load.stop()
        process.stop()
    assert not [reader.wrong for reader in readers if reader.wrong]
    check(data, ids(load.acknowledged), ids(load.attempted))
