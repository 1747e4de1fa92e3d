"""Arize Phoenix, as its package on PyPI brings it, on its default SQLite."""

import contextlib
import sqlite3

from otel_ext.bench.cases import Case
from otel_ext.bench.server import Server
from tests.bench.goals import BASE
from tests.bench.rivals.parts import environment, free_ports, wait_for_door


class Phoenix(Server):
    """`phoenix serve`."""

    name = "Phoenix"
    promise = "in a queue in memory; inserted later without fsync, lost with the process"
    # It inserts some 90 spans a second: one request a connection is minutes of work.
    weight = 0.0
    most = 2
    unique = True

    def takes(self, case: Case) -> bool:
        """The case that a goal is about."""
        return case.name == BASE

    def start(self, case: Case) -> None:
        """It takes its settings from the environment."""
        http, grpc = free_ports(2)
        settings = {
            "PHOENIX_WORKING_DIR": str(self.folder),
            "PHOENIX_HOST": "127.0.0.1",
            "PHOENIX_PORT": str(http),
            "PHOENIX_GRPC_PORT": str(grpc),
            "PHOENIX_TELEMETRY_ENABLED": "false",
        }
        self.spawn([environment("arize-phoenix==20.26.1") / "phoenix", "serve"], settings)
        wait_for_door(self, grpc, 600.0)
        wait_for_door(self, http, 600.0)
        self.endpoints = {"grpc": f"127.0.0.1:{grpc}", "http": f"127.0.0.1:{http}"}

    def done(self) -> int:
        """Rows of its table of spans."""
        path = self.folder / "phoenix.db"
        with (
            contextlib.suppress(sqlite3.OperationalError),
            contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as base,
        ):
            return int(base.execute("SELECT count(*) FROM spans").fetchone()[0])
        return 0
