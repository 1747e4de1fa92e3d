"""What is lost when an agent's process dies: the stock stack and ours side by side, in one run.

    python -m tests.bench.losses [--spans N] [--rate PER_SECOND]

Each cell is a process of its own (`tests.bench.victim`) that ends N spans and then meets its fate. Lost is a
span whose `end()` had returned and that cannot be read afterwards: at a receiver for the stock OTLP exporter,
in the file for the stock JSON file exporter (`opentelemetry-exporter-otlp-json-file`, `-` where it is not
installed), by `otel-ext sessions` for ours. `disk full` fills the disk (a tmpfs; needs root) at a third and
frees it at two thirds. All with default settings.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc

from otel_ext import otlp
from otel_ext.exporters.grpc import METHOD

SYSTEMS = ("OTLP", "json file", "otel_ext")
FATES = ("exit", "SIGKILL", "SIGTERM", "os._exit", "disk full", "receiver down")


class Receiver:
    """A grpcio server that only counts spans."""

    def __init__(self) -> None:
        self.spans = 0
        self._server = grpc.server(ThreadPoolExecutor(4))
        handlers = {"Export": grpc.unary_unary_rpc_method_handler(self._export)}
        handler = grpc.method_handlers_generic_handler(METHOD.split("/")[1], handlers)
        self._server.add_generic_rpc_handlers((handler,))
        self.endpoint = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def _export(self, body: bytes, _: object) -> bytes:
        self.spans += otlp.count(body)
        return b""

    def stop(self) -> None:
        """Stop serving."""
        self._server.stop(0).wait()


@contextmanager
def small_disk(folder: Path) -> Iterator[Path | None]:
    """A tmpfs of 48 MiB, None where it cannot be mounted."""
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", folder], check=False)
    try:
        yield folder if done.returncode == 0 else None
    finally:
        if done.returncode == 0:
            subprocess.run(["umount", "-l", folder], check=True)


def fill(ballast: Path) -> None:
    """Use up the disk to the last byte."""
    with ballast.open("ab", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass


def stored(system: str, target: str, receiver: Receiver) -> int:
    """Spans of the victim that can be read now."""
    if system == "OTLP":
        return receiver.spans
    if system == "json file":
        count = 0
        for line in Path(target).read_bytes().split(b"\n") if Path(target).exists() else []:
            try:
                count += otlp.count(otlp.read_traces(line, instant=_instant)) if line else 0
            except Exception:  # noqa: BLE001 - a torn line cannot be read
                continue
        return count
    call = [sys.executable, "-m", "otel_ext", "sessions", target, "--json"]
    rows = subprocess.run(call, check=True, capture_output=True, text=True).stdout.splitlines()
    return sum(json.loads(row)["spans"] for row in rows)


def _instant(value: object) -> int:
    return int(str(value))


def run(system: str, fate: str, folder: Path, spans: int, rate: float) -> tuple[int, str]:
    """`(spans lost, what the victim said of its cost)` of one cell."""
    receiver = Receiver()
    target = {"OTLP": receiver.endpoint, "json file": f"{folder}/spans.jsonl"}.get(system, f"{folder}/data")
    if fate == "receiver down":
        receiver.stop()
    call = [sys.executable, "-m", "tests.bench.victim", system, target, fate, str(spans), str(rate)]
    victim = subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert victim.stdout is not None
    ended, said = 0, b""
    while data := os.read(victim.stdout.fileno(), 4096):
        before, ended = ended, ended + data.count(b".", 0, data.find(b"\n") if b"\n" in data else len(data))
        said += data.partition(b"\n")[2] if b"\n" in data else (data if said else b"")
        if fate == "disk full" and before < spans // 3 <= ended:
            fill(folder / "ballast")
        if fate == "disk full" and before < 2 * spans // 3 <= ended:
            (folder / "ballast").unlink()
    victim.wait()
    victim.stdout.close()
    lost = ended - stored(system, target, receiver)
    receiver.stop()
    return lost, said.decode().strip()


def cell(system: str, fate: str, spans: int, rate: float) -> tuple[str, str]:
    """One cell of the table, as text, and the victim's costs."""
    if system == "json file" and importlib.util.find_spec("opentelemetry.exporter.otlp.json") is None:
        return "-", ""
    with tempfile.TemporaryDirectory() as name:
        if fate != "disk full":
            lost, said = run(system, fate, Path(name), spans, rate)
            return str(lost), said
        with small_disk(Path(name)) as disk:
            return (str(run(system, fate, disk, spans, rate)[0]), "") if disk else ("-", "")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--spans", type=int, default=900)
    parser.add_argument("--rate", type=float, default=100.0)
    options = parser.parse_args()
    print(f"{options.spans} spans ended at {options.rate:g} a second; spans lost\n")
    print("| | " + " | ".join(FATES) + " | `end()` p50 / p99 µs | CPU µs a span | peak MiB |")
    print("|---|" + "---|" * (len(FATES) + 3))
    for system in SYSTEMS:
        cells = {fate: cell(system, fate, options.spans, options.rate) for fate in FATES}
        _, costs = cell(system, "exit", 10_000, 2_000.0)
        p50, p99, cpu, peak = costs.split() if costs else ["-"] * 4
        lost = " | ".join(cells[fate][0] for fate in FATES)
        print(f"| {system} | {lost} | {p50} / {p99} | {cpu} | {peak} |", flush=True)


if __name__ == "__main__":
    main()
