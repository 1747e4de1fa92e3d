"""The shape of `processors`: what happens between doors and files, each with its default.

Law of this file: as of `shape`.
"""

import msgspec

from otel_ext.pipeline import EngineSettings
from otel_ext.service.fit import Duration
from otel_ext.signals import Settings as SignalSettings


class SessionsConfig(msgspec.Struct, kw_only=True, frozen=True):
    """`processors.sessions`: when a session ends, how long a span waits for its session's id."""

    idle_timeout: Duration = Duration(EngineSettings().idle_timeout)
    hold: Duration = Duration(EngineSettings().hold)


class DedupConfig(msgspec.Struct, kw_only=True, frozen=True):
    """`processors.dedup`: spans remembered to recognise a re-delivery."""

    window_spans: int = EngineSettings().dedup_window


class MemoryConfig(msgspec.Struct, kw_only=True, frozen=True):
    """`processors.memory_limiter`: above `limit_mib` of resident memory requests are refused for now.

    With `limit_mib` 0 the limit is `limit_percentage` of what the control group or the machine allows; with
    both 0 there is none.
    """

    limit_mib: int = 0
    limit_percentage: int = 80


class ServicesConfig(msgspec.Struct, kw_only=True, frozen=True):
    """`processors.services`: what one `service.name` may use while others send as well.

    `share` is of the backlog and of the bytes in flight.
    """

    share: float = EngineSettings().service_share


class ProcessorsConfig(msgspec.Struct, kw_only=True, frozen=True):
    """`processors`."""

    sessions: SessionsConfig = SessionsConfig()
    dedup: DedupConfig = DedupConfig()
    memory_limiter: MemoryConfig = MemoryConfig()
    services: ServicesConfig = ServicesConfig()
    signals: SignalSettings = SignalSettings()
