"""Laws broken on purpose: each must make a test fail. `python -m tests.mutations [-j N] [NAME...]`.

Each mutation is a change of text in the package, made to a temporary copy of the package and its tests and
never to the tree. The named tests run against the copy, and stop at the first failure. Exit code 1 when a
mutation survives, or when its text is not found exactly once: then the code has moved on, and so must this.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
TIMEOUT = 900.0
"""Seconds for the tests of one mutation; a mutant that hangs is caught by the tests' own limit before."""

CRASHES, FAILURES, BYTES = (f"tests/sweeps/test_{name}.py" for name in ("crashes", "failures", "bytes"))
JOURNAL = "tests/journal"
ENGINE = "tests/pipeline/test_exactly_once.py"
KEEPER, SEALED = "tests/sessions/test_keeper.py", "tests/pipeline/test_sealed.py"


class Edit(NamedTuple):
    """One change of text; `old` stands exactly once in the file."""

    file: str
    old: str
    new: str


class Mutation(NamedTuple):
    """A defect that the tests must notice.

    Attributes:
        law: what it breaks, as in the design.
        tests: where it should be caught, asked in this order.
    """

    name: str
    law: str
    edits: tuple[Edit, ...]
    tests: tuple[str, ...]


def one(name: str, law: str, file: str, old: str, new: str, *tests: str) -> Mutation:
    """A mutation of one place."""
    return Mutation(name, law, (Edit(file, old, new),), tests)


WRITER, TAIL, RELEASE = "journal/writer.py", "journal/tail.py", "journal/release.py"
RECOVERY, FRAME, HEADER = "journal/recovery.py", "journal/frame.py", "journal/header.py"
STREAMS, CONSUMER, PROCESS = "sessions/streams.py", "pipeline/consumer.py", "pipeline/process.py"
KEEPING = "sessions/keeper.py"
OUTBOX, OUTGOING = "tests/pipeline/test_outbox.py", "tests/sweeps/test_outbox.py"
COUNTED = "                            expired[name] += count\n"
SYNC = "                feed.cursor.sync()\n"
BELIEVED = "            except OSError:  # its last durable place holds what it needs\n"
OUTPUTS, POOL, LEFTOVERS = "pipeline/outputs.py", "sessions/pool.py", "sessions/leftovers.py"
ASGI, BODY, SOCKETS = "receivers/asgi.py", "receivers/body.py", "receivers/endpoint.py"
HTTP, PATIENCE, UNIX = (f"tests/receivers/test_{name}.py" for name in ("http", "patience", "unix"))

MUTATIONS = (
    one(
        "journal-sync-skipped",
        "L1: a request is on the disk before it is answered",
        *(WRITER, "            pending.file.sync()\n", ""),
        CRASHES,
    ),
    one(
        "journal-older-segment-sync-skipped",
        "L1: so is what was written to a segment that is full meanwhile",
        *(WRITER, "                file.sync()\n                segment", "                segment"),
        *(CRASHES, JOURNAL),
    ),
    one(
        "journal-directory-sync-skipped",
        "L1: a new segment's name is on the disk before its records are answered",
        *(WRITER, "            if pending.new_names:\n", "            if False:\n"),
        CRASHES,
    ),
    Mutation(
        "ack-before-sync",
        "L1: nobody is answered, and nothing is readable, before the sync returned",
        (
            Edit(
                WRITER,
                "        try:\n            for segment, file in pending.older:",
                "        self._tail.durable = pending.result\n        self._changed()\n"
                "        try:\n            for segment, file in pending.older:",
            ),
        ),
        (CRASHES, FAILURES, JOURNAL),
    ),
    one(
        "retry-of-a-failed-sync",
        "L6: a failed fsync is never tried again",
        WRITER,
        "            pending.file.sync()\n",
        "            try:\n                pending.file.sync()\n"
        "            except OSError:\n                pending.file.sync()\n",
        *(FAILURES, JOURNAL),
    ),
    one(
        "unacknowledged-not-voided",
        "L6: records past the durable end are void after a reopen",
        *(WRITER, "                self._tail.void_unacknowledged()\n", "                pass\n"),
        *(FAILURES, JOURNAL),
    ),
    one(
        "reader-passes-durable-end",
        "L2: the journal's reader never passes its durable end",
        *(WRITER, 'return self.durable if self._mode == "always" else self._written', "return self._written"),
        *(FAILURES, JOURNAL),
    ),
    one(
        "journal-engine-time-decreases",
        "L7: engine time in the journal never decreases",
        TAIL,
        "engine = max(self.engine, now if engine is None else engine)",
        "engine = now if engine is None else engine",
        JOURNAL,
    ),
    one(
        "engine-time-follows-a-clock-set-back",
        "L7: engine time goes on when the clock is set back",
        "pipeline/enginetime.py",
        "self._last += monotonic - self._at",
        "self._last = self._clock.now()",
        ENGINE,
    ),
    one(
        "removal-sync-dropped",
        "L5: segments go oldest first, each removal durable before the next",
        RELEASE,
        "        self._table.remove(segment)\n        self._sync()\n",
        "        self._table.remove(segment)\n",
        *(CRASHES, JOURNAL),
    ),
    one(
        "removal-left-out",
        "L9: segments that nobody needs go",
        *(
            RELEASE,
            "            self._files.remove(self._table.path(segment.sequence))\n",
            "            pass\n",
        ),
        *(CRASHES, JOURNAL),
    ),
    one(
        "recovery-trusts-the-cache",
        "L2: what recovery hands out is on the disk",
        *(RECOVERY, "                file.settle(segment.durable)\n", ""),
        *(CRASHES, JOURNAL),
    ),
    one(
        "recovery-trusts-names",
        "L2: so are the names of the segments",
        *(RECOVERY, "    files.sync_directory(directory)\n", ""),
        *(CRASHES, JOURNAL),
    ),
    one(
        "segment-name-reused",
        "L5: a number in a name is never given again, also one of a void segment",
        RECOVERY,
        "    highest = max(filter(None, map(sequence_of, files.list(directory))), default=0)\n"
        "    segments = survey(files, directory)\n",
        "    segments = survey(files, directory)\n"
        "    highest = max((s.sequence for s in segments if not s.void), default=0)\n",
        *(CRASHES, JOURNAL),
    ),
    one(
        "names-not-exclusive",
        "L5: nothing is overwritten: a file is created exclusively",
        *("files.py", "os.O_CREAT | os.O_EXCL", "os.O_CREAT | os.O_TRUNC"),
        *(JOURNAL, "tests/sessions", ENGINE),
    ),
    one(
        "payload-checksum-ignored",
        "L4: a damaged record is told, never processed",
        *(FRAME, "    if crc32(payload) != payload_crc:\n", "    if False:\n"),
        BYTES,
    ),
    one(
        "frame-checksum-ignored",
        "L4: nor is a frame whose header is damaged",
        *(FRAME, "!= header_crc:", "!= header_crc and False:"),
        BYTES,
    ),
    one(
        "second-header-ignored",
        "L4: one damaged byte of a segment's header costs nothing",
        *(HEADER, "    for at in (0, _COPY.size):\n", "    for at in (0,):\n"),
        *(BYTES, JOURNAL),
    ),
    one(
        "journal-loss-not-counted",
        "L4: what damage took is counted",
        *("pipeline/ledger.py", '        self.lose("journal_damage", items)\n', ""),
        BYTES,
    ),
    Mutation(
        "checkpoint-before-file-sync",
        "L3: the checkpoint speaks only of bytes that are on the disk",
        (
            Edit(OUTPUTS, "        self.streams.sync()\n", "        self.streams.flush()\n"),
            Edit(
                OUTPUTS,
                "        self._catalog.commit(point)\n",
                "        self._catalog.commit(point)\n        self.streams.sync()\n",
            ),
        ),
        (CRASHES,),
    ),
    one(
        "file-sync-skipped",
        "L3: session files are synced before the checkpoint",
        *(POOL, "                self.file(name).sync()\n", "                pass\n"),
        CRASHES,
    ),
    one(
        "file-directory-sync-skipped",
        "L3: and so are their names",
        *(
            POOL,
            "            self._files.sync_directory(self._folder)\n            self._created",
            "            self._created",
        ),
        CRASHES,
    ),
    one(
        "names-of-a-killed-process-not-synced",
        "L3: also the names that a killed process left",
        *(POOL, "        self._created = True  #", "        self._created = False  #"),
        CRASHES,
    ),
    one(
        "files-trust-the-cache",
        "L6: bytes that a failed sync left in the cache only are not believed",
        *(POOL, "            file.settle()\n", "            pass\n"),
        FAILURES,
    ),
    one(
        "reload-trusts-the-cache",
        "L6: nor by the process whose sync failed",
        *(CONSUMER, "self._distrust = self._distrust or known", "self._distrust = False"),
        FAILURES,
    ),
    Mutation(
        "release-before-commit",
        "L2: the journal is released only behind the checkpoint",
        (
            Edit(CONSUMER, "        self._outputs.release(self._journal, self._saved)\n", ""),
            Edit(
                CONSUMER,
                "        self._outputs.save(",
                "        self._outputs.release(self._journal, self._cursor)\n        self._outputs.save(",
            ),
        ),
        (CRASHES,),
    ),
    one(
        "truncate-where-equal",
        "L3: what equals the replay is never cut",
        *(LEFTOVERS, "if not self._distrust and data.startswith(there):", "if not there:"),
        *(CRASHES, BYTES),
    ),
    one(
        "truncate-equal-lines",
        "L3: nor are equal lines before the first different one",
        *(
            LEFTOVERS,
            "        equal = 0 if self._distrust else _common_lines(there, data)\n",
            "        equal = 0\n",
        ),
        *(CRASHES, BYTES),
    ),
    one(
        "append-without-compare",
        "L3: what is there already is not written again",
        *(
            STREAMS,
            "            if name in self._left.found:\n                self._left.reconcile(",
            "            if False:\n                self._left.reconcile(",
        ),
        CRASHES,
    ),
    one(
        "leftovers-not-cut",
        "L3: what a crash left and the replay does not write goes",
        *(LEFTOVERS, "        if present > length:\n", "        if False:\n"),
        *(CRASHES, BYTES, ENGINE),
    ),
    one(
        "short-file-continued",
        "L5: a file that lost committed bytes is left as it is",
        *(
            STREAMS,
            "if (self._files.size(path) if self._files.exists(path) else 0) >= row.length:",
            "if True:",
        ),
        BYTES,
    ),
    one(
        "dedup-window-not-loaded",
        "L2: the window of re-deliveries survives a restart",
        PROCESS,
        "Window.load(catalog.dedup_blocks(), settings.dedup_window)",
        "Window.load([], settings.dedup_window)",
        CRASHES,
    ),
    one(
        "held-spans-not-saved",
        "L2: every fold is in the checkpoint: spans that wait for a session id",
        *(PROCESS, '"hold": self._hold.dump()', '"hold": b""'),
        CRASHES,
    ),
    one(
        "waiting-steps-not-saved",
        "L2: steps that wait for their turn",
        *("pipeline/detect.py", '"reorder": self._reorder.dump()', '"reorder": b""'),
        CRASHES,
    ),
    one(
        "detectors-not-saved",
        "L2: the detectors",
        *("pipeline/detect.py", "self._reorder.dump(), **tellings, **parts}", "self._reorder.dump()}"),
        CRASHES,
    ),
    one(
        "begun-spans-not-saved",
        "L2: spans that have begun",
        *(PROCESS, "        folds.update(self._unfinished.dump())\n", "        self._unfinished.dump()\n"),
        CRASHES,
    ),
    one(
        "interrupted-append-ignored",
        "L1: an append that a signal handler interrupted does not misplace the next ones",
        *("journal/tail.py", "self._interrupted = True\n", "self._interrupted = False\n"),
        "tests/journal/test_interrupted.py",
    ),
    one(
        "open-sessions-not-saved",
        "L2: and sessions whose silence is waited for",
        *("sessions/catalog.py", "WHERE open ORDER", "WHERE state='active' ORDER"),
        CRASHES,
    ),
    one(
        "ledger-miscounts-stored",
        "L4: each span has exactly one outcome",
        *(PROCESS, "self.ledger.stored += len(run)\n", "self.ledger.stored += len(run) + conflicts\n"),
        CRASHES,
    ),
    one(
        "ledger-forgets-duplicates",
        "L4: a re-delivery is an outcome",
        *(PROCESS, "        self.ledger.duplicate += 1\n", ""),
        CRASHES,
    ),
    Mutation(
        "stop-asked-after-reading",
        "L4: a polite stop leaves nothing accepted behind",
        (
            Edit(CONSUMER, "        stop = self._stop.is_set()  #", "        #"),
            Edit(
                CONSUMER, "stopping = stop and not records", "stopping = self._stop.is_set() and not records"
            ),
        ),
        (FAILURES,),
    ),
    one(
        "set-aside-without-count",
        "L4: a record that cannot be processed costs its spans, counted",
        *(PROCESS, "        counts.lose(reason, record.items)\n", ""),
        "tests/pipeline/test_failures.py",
    ),
    one(
        "verify-ignores-checksums",
        "L4: verify checks everything against the bytes",
        *("pipeline/filecheck.py", "    if count.crc != row.crc:\n", "    if False:\n"),
        BYTES,
    ),
    one(
        "verify-ignores-the-manifest",
        "L4: what was told of a file is held against the catalog",
        *("sessions/audit.py", "elif fact != sealed(row, row.sha256):", "elif False:"),
        "tests/sessions/test_audit.py",
    ),
    one(
        "manifest-not-synced",
        "L4: nobody acts on what the manifest says before it is on the disk",
        *("sessions/manifest.py", "        self._file.sync()\n", "        pass\n"),
        KEEPER,
    ),
    one(
        "manifest-name-not-synced",
        "L4: nor on a manifest whose name may go",
        *("sessions/manifest.py", "            files.sync_directory(folder)  #", "            #"),
        KEEPER,
    ),
    one(
        "late-facts-not-finished",
        "L5: what the manifest said before a crash is made true",
        *(
            KEEPING,
            "self._stock.keep(late, self._manifest.place, ())",
            "self._stock.keep((), self._manifest.place, ())",
        ),
        KEEPER,
    ),
    one(
        "retention-takes-active-sessions",
        "L5: retention never takes a file of an open session",
        *("sessions/stock.py", "WHERE state>=2 AND NOT EXISTS (", "WHERE state>=2 AND 1 OR EXISTS ("),
        KEEPER,
    ),
    one(
        "retention-by-name",
        "L5: oldest first, by sealing and number",
        "sessions/stock.py",
        "(s.open OR s.state='active')) ORDER BY sealed_at, sequence LIMIT ?",
        "(s.open OR s.state='active')) ORDER BY name LIMIT ?",
        KEEPER,
    ),
    one(
        "compressed-name-not-synced",
        "L3: the plain file goes only when the compressed one cannot",
        *(KEEPING, "        if facts:\n            self._files.sync_directory(self._sessions)\n", ""),
        KEEPER,
    ),
    one(
        "damage-compressed",
        "L4: changed bytes are never compressed into the truth",
        *("sessions/pack.py", "if before != sha256:", "if False:"),
        KEEPER,
    ),
    Mutation(
        "recovered-purge-forgets-the-living",
        "L1: what retention left nothing of at the start is nobody's memory; the living are never forgotten",
        (
            Edit(
                KEEPING,
                "            self._stock.keep(late, self._manifest.place, ())  #",
                "            self.purged += self._stock.keep(late, self._manifest.place, ())  #",
            ),
            Edit("pipeline/members.py", "        session_ids = session_ids - live - {", "        live |= {"),
        ),
        ("tests/sweeps/test_keeping.py",),
    ),
    one(
        "one-stuck-name-stops-all",
        "L5: a name that cannot be taken away stops nobody",
        *("sessions/doomed.py", "        except OSError as error:\n", "        except EOFError as error:\n"),
        KEEPER,
    ),
    one(
        "one-unreadable-file-stops-all",
        "L5: a file that cannot be compressed is passed over",
        *(KEEPING, "if error.errno not in FULL:  #", "if error.errno not in FULL:\n" + " " * 20 + "raise  #"),
        KEEPER,
    ),
    one(
        "leftovers-of-removal-not-swept",
        "L4: a name that had to go goes, after a crash as well",
        *(
            KEEPING,
            "            self._say(facts)\n        self._doomed.sweep()\n",
            "            self._say(facts)\n",
        ),
        KEEPER,
    ),
    one(
        "expired-not-counted",
        "L4: stored = present + expired",
        *(
            "sessions/stock.py",
            "                            expired[name] += count\n",
            "                            pass\n",
        ),
        *(KEEPER, SEALED),
    ),
    one(
        "ended-sessions-not-sealed",
        "the end of a generation seals its file",
        *(PROCESS, "        self._lines.seal(session_id)\n", "        pass\n"),
        SEALED,
    ),
    one(
        "numbers-not-in-the-checkpoint",
        "L5, L7: a replay gives the same names again",
        *(OUTPUTS, 'following=meta.get("next_file", 1)', "following=1"),
        *(ENGINE, SEALED),
    ),
    one(
        "reserve-never-given-up",
        "L6: a full disk is survived",
        *("pipeline/reserve.py", "if not self._there or", "if True or"),
        "tests/pipeline/test_reserve.py",
    ),
    one(
        "disk-sync-skipped",
        "L3: session files are synced before the checkpoint, however many",
        *(POOL, "            self._disk.sync()\n", "            pass\n"),
        "tests/sessions/test_pool.py",
    ),
    one(
        "lock-not-exclusive",
        "one live process owns a folder",
        "journal/lock.py",
        "            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)\n        except BlockingIOError:",
        "            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)\n        except BlockingIOError:",
        *(JOURNAL, "tests/test_bad_input.py", "tests/test_cli.py"),
    ),
    one(
        "http-length-not-checked-first",
        "L9: a body over the limit is refused before it is read",
        *(BODY, "if self._length is not None and self._length > limit:", "if False:"),
        HTTP,
    ),
    one(
        "http-budget-not-asked",
        "L9: bodies have room before they are taken into memory",
        *(BODY, "                    share.reserve(len(part))\n", ""),
        HTTP,
    ),
    one(
        "http-inflated-size-unlimited",
        "L9: the limit holds after decompression",
        *("receivers/inflate.py", "out.tell() + len(part) > limit", "False"),
        "tests/receivers/test_process.py",
    ),
    one(
        "http-cut-body-accepted",
        "L1: a body that ends early is refused",
        *(ASGI, "self.conn.their_state is h11.SEND_BODY", "False"),
        HTTP,
    ),
    one(
        "http-no-lingering",
        "who is refused can read why",
        *(BODY, "            if self._linger:\n                await self._drop(_LINGER)\n", ""),
        HTTP,
    ),
    one(
        "http-head-timer-reset-by-each-byte",
        "L9: no connection is held for ever",
        *(
            ASGI,
            "        if not self._dropping:\n            self.conn.receive",
            "        self._end_after(99)\n        if not self._dropping:\n            self.conn.receive",
        ),
        PATIENCE,
    ),
    one(
        "socket-of-the-living-replaced",
        "an address that is served is an error, never taken over",
        *(SOCKETS, "        if _alive(place):\n", "        if False:\n"),
        UNIX,
    ),
    one(
        "socket-mode-left-to-the-umask",
        "L12: private by default",
        *(SOCKETS, "            bound.chmod(mode)\n", ""),
        UNIX,
    ),
    one(
        "json-ids-in-base64",
        "an id in base64 is no id",
        *("otlp/requestread.py", "base64_ids=False", "base64_ids=True"),
        "tests/receivers/test_process.py",
    ),
    one(
        "json-unknown-member-sets-fields",
        "L8: a mark from elsewhere overwrites nothing",
        *("otlp/requestread.py", "    if is_residue(type(message), data):\n", "    if True:\n"),
        "tests/otlp/test_requests.py",
    ),
    one(
        "released-before-delivered",
        "the journal is kept until every destination's cursor has passed",
        *("pipeline/outputs.py", "self._outbox.needed(safe) if safe is not None else None", "safe"),
        *(OUTBOX, OUTGOING),
    ),
    one(
        "cursor-not-synced",
        "only a durable cursor lets entries and journal go",
        *("pipeline/outbox/outbox.py", f"{SYNC}{BELIEVED}", f"                pass\n{BELIEVED}"),
        *(OUTGOING, OUTBOX),
    ),
    one(
        "redelivery-goes-out",
        "what goes out is what the files hold",
        *("pipeline/outbox/entry.py", "        self._edits[number] = None\n", "        pass\n"),
        OUTBOX,
    ),
    one(
        "fork-does-not-wait",
        "L11: no fork while SQLite holds its locks",
        *("sdk/registry.py", "    if not GATE.shut(_REST):\n", "    if False:\n"),
        "tests/sdk/test_forks.py",
    ),
    one(
        "budget-with-one-mark",
        "L9: at its limit a budget does not refuse every second request",
        *("pipeline/admission.py", "(high * _LOW if self._over else high)", "high"),
        "tests/pipeline/test_admission.py",
    ),
    one(
        "service-without-a-share",
        "one looping agent leaves room for the others",
        *("pipeline/admission.py", "if found is None and self._contended(one):", "if False:"),
        "tests/pipeline/test_admission.py",
    ),
    one(
        "another-spans-ids",
        "L4: a span without ids is rejected, though another has them twice",
        *("otlp/vouch.py", "found == (received, received) and ", ""),
        "tests/otlp/test_vouch.py",
    ),
    one(
        "zeros-for-an-id",
        "L4: a span whose trace id is all zero is rejected",
        *("otlp/vouch.py", "        and NO_TRACE not in heads\n", ""),
        "tests/otlp/test_vouch.py",
    ),
    one(
        "lines-of-logs-unmarked",
        "L3: logs have no identity, the mark keeps them exactly once",
        *("pipeline/logs.py", "otlp.marked_line(line, before)", "otlp.marked_line(line, 0)"),
        *("tests/pipeline/test_logs.py", "tests/pipeline/test_reindex.py"),
    ),
)


def misfits(mutation: Mutation, package: Path) -> Iterator[str]:
    """Edits whose text does not stand exactly once in the package."""
    for edit in mutation.edits:
        count = (package / edit.file).read_text().count(edit.old)
        if count != 1:
            yield f"{edit.file} holds {edit.old.strip().splitlines()[0]!r} {count} times"


def mutate(mutation: Mutation, package: Path) -> None:
    """Make the changes to a copy."""
    for edit in mutation.edits:
        path = package / edit.file
        path.write_text(path.read_text().replace(edit.old, edit.new))


def run(mutation: Mutation, folder: Path) -> str | None:
    """Make a mutated copy in `folder` and run the tests there; the first that failed, None if none did."""
    ignore = shutil.ignore_patterns("__pycache__", ".*")
    for name in ("otel_ext", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", folder)
    mutate(mutation, folder / "otel_ext")
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    probe = [sys.executable, "-c", "import otel_ext; print(otel_ext.__file__)"]
    found = subprocess.run(probe, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    assert Path(found.stdout.strip()).is_relative_to(folder), "the copy must be what is tested"
    options = ["-n0", "-x", "-q", "-p", "no:cacheprovider", "--timeout=120", "--show-capture=no", "--tb=no"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *mutation.tests],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT,
    )
    if done.returncode == 0:
        return None
    failed = re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    # pytest-timeout may end a process that hangs in a way that leaves no summary.
    return failed[1] if failed else f"{mutation.tests[0]} (exit code {done.returncode})"


def verdict(mutation: Mutation) -> tuple[str, bool]:
    """`(caught by, whether all is well)`."""
    if moved := list(misfits(mutation, ROOT / "otel_ext")):
        return f"DOES NOT APPLY: {'; '.join(moved)}", False
    with tempfile.TemporaryDirectory(prefix="otel-ext-mutation-") as name:
        test = run(mutation, Path(name).resolve())
    return test or "SURVIVED", test is not None


def main() -> int:
    """Run all mutations, or those named, and print a table."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutations", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="mutations to run; all when none is named")
    parser.add_argument("-j", type=int, default=1, metavar="N", help="how many at one time")
    arguments = parser.parse_args()
    known = {mutation.name: mutation for mutation in MUTATIONS}
    if unknown := set(arguments.names) - set(known):
        parser.error(f"no such mutation: {', '.join(sorted(unknown))}; known are {', '.join(known)}")
    chosen = [known[name] for name in arguments.names] or list(MUTATIONS)
    if not arguments.names:
        everything = tuple(sorted({test for mutation in chosen for test in mutation.tests}))
        with tempfile.TemporaryDirectory(prefix="otel-ext-mutation-") as name:
            if failed := run(Mutation("", "", (), everything), Path(name).resolve()):
                print(f"{failed} fails without any mutation")
                return 1
    print("| mutation | law | caught by |\n|---|---|---|")
    bad = 0
    with ThreadPoolExecutor(arguments.j) as pool:
        for mutation, (caught, well) in zip(chosen, pool.map(verdict, chosen), strict=True):
            print(f"| {mutation.name} | {mutation.law} | {caught} |", flush=True)
            bad += not well
    print(f"\n{len(chosen)} mutations, {len(chosen) - bad} caught")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
