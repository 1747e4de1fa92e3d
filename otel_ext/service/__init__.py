"""Configure, build, run: the sidecar as one object.

`layers` reads what was written where, `references` replaces `${...}`, `fit` makes it fit the `shape`,
`components` and `destinations` check what names what, `config` is the result and `effective` shows it.
`server` builds and runs: `admission` stands between doors and engine, `web` serves probes and scrapers
with what `probes` and `metrics` say, `logs` is our own log, `memory` gives back what requests have freed.
"""

from otel_ext.service.config import Config, Loaded, load, load_config
from otel_ext.service.effective import effective
from otel_ext.service.layers import source_of
from otel_ext.service.logs import configure
from otel_ext.service.server import Server

__all__ = ["Config", "Loaded", "Server", "configure", "effective", "load", "load_config", "source_of"]
