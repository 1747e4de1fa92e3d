"""A real server process that forwards, for tests that kill it: `python -m tests.exporters.victim JSON`."""

import json
import signal
import sys
from pathlib import Path

import msgspec

from otel_ext.exporters import ForwarderSettings
from otel_ext.pipeline import EngineSettings
from otel_ext.service import Server, load_config

if __name__ == "__main__":
    told = json.loads(sys.argv[1])
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    config = load_config(data=Path(told["data"]), grpc=told["grpc"], http="127.0.0.1:0")
    engine, forward = (
        EngineSettings(**told["engine"]),
        [ForwarderSettings(**each) for each in told["forward"]],
    )
    server = Server(
        msgspec.structs.replace(config, engine=engine, forward=forward, shutdown_timeout=told["grace"])
    )
    server.start()
    print(f"ready grpc={server.grpc_endpoint}", flush=True)
    signal.sigwait({signal.SIGTERM})
    sys.exit(0 if server.stop() else 2)
