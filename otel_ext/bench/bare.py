"""The limit: a grpcio server that only appends and fdatasyncs. `python -m otel_ext.bench.bare [FOLDER]`.

It writes its endpoint to stdout and serves until it is ended. Without a folder it drops what it gets.
"""

import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc

from otel_ext.exporters.grpc import METHOD


def main(folder: str = "") -> None:
    """Serve."""
    flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
    descriptor = os.open(f"{folder}/requests", flags, 0o600) if folder else -1

    def export(body: bytes, _: object) -> bytes:
        if folder:
            os.write(descriptor, body)
            os.fdatasync(descriptor)
        return b""

    handlers = {"Export": grpc.unary_unary_rpc_method_handler(export)}
    # The stock pool, as wide as a case's widest fan-out needs to keep syncs under way.
    server = grpc.server(ThreadPoolExecutor(16), options=[("grpc.max_receive_message_length", -1)])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(METHOD.split("/")[1], handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    server.start()
    sys.stdout.write(f"127.0.0.1:{port}\n")
    sys.stdout.flush()
    server.wait_for_termination()


if __name__ == "__main__":
    main(*sys.argv[1:])
