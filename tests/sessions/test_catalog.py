"""The catalog: one transaction, one snapshot, clear words for sick bytes."""

from pathlib import Path

import pytest

from otel_ext.errors import DamageError, DataFolderError
from otel_ext.sessions import Catalog, Checkpoint, Session, Trace
from otel_ext.sessions.network import refuse_network


def filled(path: Path, sessions: int = 300) -> Catalog:
    """A catalog with some sessions."""
    catalog = Catalog(path)
    rows = [Session(session_id=f"s{n}", start=n, last_seen=n, open=True) for n in range(sessions)]
    catalog.commit(Checkpoint(meta={"cursor": [1, 2]}, sessions=rows))
    return catalog


def test_what_was_committed_is_read_back(tmp_path: Path) -> None:
    """Rows, values and joins survive a close."""
    catalog = filled(tmp_path / "c")
    trace = Trace(trace_id=b"t" * 16, session_id="74" * 16, generation=1, joined="s1", joined_generation=2)
    catalog.commit(Checkpoint(meta={}, traces=[trace]))
    catalog.close()
    again = Catalog(tmp_path / "c", read_only=True)
    assert again.meta()["cursor"] == [1, 2]
    assert again.session("s7") == Session(session_id="s7", start=7, last_seen=7, open=True)
    assert again.joins() == {"74" * 16: ("s1", 2)}
    assert len(again.active()) == 300
    assert again.check() == []


def test_a_failed_commit_changes_nothing(tmp_path: Path) -> None:
    """One row that cannot be written takes the whole transaction back."""
    catalog = filled(tmp_path / "c", 3)
    bad = Session(session_id="bad", last_seen=2**70)
    with pytest.raises(OverflowError):
        catalog.commit(Checkpoint(meta={"cursor": [9, 9]}, sessions=[bad]))
    assert catalog.meta()["cursor"] == [1, 2]
    assert len(catalog.sessions()) == 3


def test_a_snapshot_does_not_see_what_comes_after(tmp_path: Path) -> None:
    """Within a snapshot two questions have answers of the same instant."""
    catalog = filled(tmp_path / "c", 3)
    reader = Catalog(tmp_path / "c", read_only=True)
    with reader.snapshot():
        before = len(reader.sessions())
        catalog.commit(Checkpoint(meta={}, sessions=[Session(session_id="new")]))
        assert len(reader.sessions()) == before
    assert len(reader.sessions()) == before + 1


def test_damaged_pages_are_damage_not_a_traceback(tmp_path: Path) -> None:
    """A catalog with overwritten pages raises DamageError that says what to do."""
    filled(tmp_path / "c").close()
    data = bytearray((tmp_path / "c").read_bytes())
    data[4096:] = b"\x5a" * (len(data) - 4096)
    (tmp_path / "c").write_bytes(data)
    with pytest.raises(DamageError, match="otel-ext reindex"):
        Catalog(tmp_path / "c", read_only=True).sessions()


def test_other_bytes_are_damage(tmp_path: Path) -> None:
    """A file that is no database is damage."""
    (tmp_path / "c").write_bytes(b"not a database, but long enough to be looked at" * 50)
    with pytest.raises(DamageError):
        Catalog(tmp_path / "c")


def test_network_file_systems_are_refused(tmp_path: Path) -> None:
    """NFS is refused by name, a local disk below it is not."""
    mounts = tmp_path / "mounts"
    mounts.write_text(f"server:/x {tmp_path} nfs4 rw 0 0\n/dev/a {tmp_path}/local ext4 rw 0 0\n")
    with pytest.raises(DataFolderError, match="nfs4"):
        refuse_network(tmp_path / "data", mounts)
    refuse_network(tmp_path / "local" / "data", mounts)
