"""A real server process that forwards, for tests that kill it: `python -m tests.exporters.victim JSON`."""

import json
import signal
import sys
from pathlib import Path

from otel_ext.exporters import ForwarderSettings
from otel_ext.pipeline import EngineSettings
from otel_ext.service import Config, Server

if __name__ == "__main__":
    told = json.loads(sys.argv[1])
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    server = Server(
        Config(
            data=Path(told["data"]),
            grpc_endpoint=told["grpc"],
            grpc_max_bytes=64 << 20,
            shutdown_timeout=20.0,
            engine=EngineSettings(**told["engine"]),
            forward=[ForwarderSettings(**each) for each in told["forward"]],
        )
    )
    server.start()
    print(f"ready grpc={server.grpc_endpoint}", flush=True)
    signal.sigwait({signal.SIGTERM})
    sys.exit(0 if server.stop() else 2)
