"""Other receivers, measured in the same runs by the same clients: one small adapter a file.

Law of this package: a rival is what its makers publish, with the settings that suit it best here; what its OK
promises stands beside its figures. One that is not to be had is left out with the reason.
"""

import importlib
from functools import partial

from otel_ext.bench.server import Server
from otel_ext.bench.session import Make

KNOWN = {
    "collector-json": ("collector", "CollectorJson"),
    "collector-proto": ("collector", "CollectorProto"),
    "rotel": ("rotel", "Rotel"),
    "phoenix": ("phoenix", "Phoenix"),
    "mlflow": ("mlflow", "MLflow"),
}
"""Module and class, by the name that is given to `--rivals`."""

USUAL = ("collector-json", "collector-proto", "rotel")
"""Those that install within a minute; the others are large and asked for by name."""


def rivals(names: tuple[str, ...]) -> list[Make]:
    """What makes each of them."""
    return [partial(_make, *KNOWN[name]) for name in names]


def _make(module: str, name: str) -> Server:
    server: Server = getattr(importlib.import_module(f"tests.bench.rivals.{module}"), name)()
    return server
