"""Asking a running server how it is."""

import urllib.error
import urllib.request

import grpc
from google.protobuf.wrappers_pb2 import StringValue, UInt32Value


def get(endpoint: str, path: str) -> tuple[int, str]:
    """Status and body of a GET."""
    try:
        with urllib.request.urlopen(f"http://{endpoint}{path}", timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def health(endpoint: str, service: str = "") -> int:
    """1 for SERVING, 2 for NOT_SERVING."""
    with grpc.insecure_channel(endpoint) as channel:
        call = channel.unary_unary("/grpc.health.v1.Health/Check")
        answer = call(StringValue(value=service).SerializeToString(), timeout=30)
        return UInt32Value.FromString(answer).value
