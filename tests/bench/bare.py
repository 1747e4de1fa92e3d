"""The limit: a grpcio server that appends each request to a file and fdatasyncs it before it answers."""

import os
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection

import grpc

from otel_ext.exporters.grpc import METHOD


def serve_bare(ready: Connection, folder: str) -> None:
    """Serve until killed; the endpoint is sent to `ready`."""
    descriptor = os.open(f"{folder}/requests", os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    def export(body: bytes, _: object) -> bytes:
        os.write(descriptor, body)
        os.fdatasync(descriptor)
        return b""

    service = METHOD.split("/")[1]
    handlers = {"Export": grpc.unary_unary_rpc_method_handler(export)}
    server = grpc.server(ThreadPoolExecutor(16), options=[("grpc.max_receive_message_length", -1)])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    ready.send(f"127.0.0.1:{port}")
    server.wait_for_termination()
