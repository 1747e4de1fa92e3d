"""The OpenTelemetry Collector: OTLP in, its file exporter out, as `.ci/collector` finds or builds it.

No batch processor and no sending queue: the file exporter has none, so that a request is written into the
exporter's buffer before it is answered.
"""

import json
import subprocess
from typing import ClassVar

from otel_ext import otlp
from otel_ext.bench.cases import Case
from otel_ext.bench.server import CannotBeMeasuredError, Server
from tests.bench.rivals.parts import free_ports, wait_for_door
from tests.support import ROOT


class CollectorJson(Server):
    """Writing JSON lines."""

    name = "Collector, JSON"
    promise = "in a buffer of the process, flushed every 0.1 s, no fsync; nothing deduplicated"
    format: ClassVar[str] = "json"

    def __init__(self) -> None:
        super().__init__()
        self._read = self._counted = 0

    def start(self, case: Case) -> None:
        """The Collector on free ports."""
        found = subprocess.run(
            [ROOT / ".ci/collector", "--find"], capture_output=True, text=True, check=False
        )
        if found.returncode:
            raise CannotBeMeasuredError(found.stderr.strip() or "no Collector")
        grpc, http = free_ports(2)
        doors = {"grpc": {"endpoint": f"127.0.0.1:{grpc}", "max_recv_msg_size_mib": 64}}
        config = {
            "receivers": {"otlp": {"protocols": {**doors, "http": {"endpoint": f"127.0.0.1:{http}"}}}},
            "exporters": {
                # Flushed ten times a second instead of once, so that the end of a run is seen in time.
                "file": {
                    "path": str(self.folder / "out"),
                    "format": self.format,
                    "flush_interval": "100ms",
                }
            },
            "service": {
                "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["file"]}},
                "telemetry": {"metrics": {"level": "none"}},
            },
        }
        (self.folder / "config.yaml").write_text(json.dumps(config))
        self.spawn([found.stdout.strip(), "--config", self.folder / "config.yaml"])
        wait_for_door(self, grpc)
        self.endpoints = {"grpc": f"127.0.0.1:{grpc}", "http": f"127.0.0.1:{http}"}

    def done(self) -> int:
        """Spans in its file."""
        with (self.folder / "out").open("rb") as file:
            file.seek(self._read)
            while data := file.read(1 << 24):
                used = self.count(data)
                if not used:
                    break
                self._read += used
                file.seek(self._read)
        return self._counted

    def count(self, data: bytes) -> int:
        """Count the spans in whole lines; their bytes."""
        used = data.rfind(b"\n") + 1
        self._counted += data.count(b'"spanId":"', 0, used)
        return used


class CollectorProto(CollectorJson):
    """Writing protobuf with lengths before it."""

    name = "Collector, proto"
    format = "proto"

    def takes(self, case: Case) -> bool:
        """What goals are about: it is here to show what writing JSON costs."""
        return super().takes(case) and not case.gzip and not case.share and case.clients > 1

    def count(self, data: bytes) -> int:
        """Count the spans in whole messages; their bytes."""
        at = 0
        while at + 4 <= len(data):
            end = at + 4 + int.from_bytes(data[at : at + 4], "big")
            if end > len(data):
                break
            self._counted += otlp.count(data[at + 4 : end])
            at = end
        return at
