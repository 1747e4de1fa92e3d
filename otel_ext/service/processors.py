"""The shape of `processors`: what happens between doors and files, each with its default.

Law of this file: as of `shape`.
"""

from typing import Final

import msgspec

from otel_ext.errors import ConfigError
from otel_ext.pipeline import EngineSettings
from otel_ext.service.fit import Duration, Origins
from otel_ext.signals import Settings as SignalSettings
from otel_ext.signals import every_rule, mistakes

SIGNALS: Final = "processors.signals"


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


def detectors(settings: SignalSettings, origins: Origins) -> SignalSettings:
    """The detectors' settings, with every rule and threshold that they name looked up.

    Raises:
        ConfigError: one is not there, or an installed package's rule cannot be used.
    """
    rules = every_rule()
    for problem in rules.problems:
        raise ConfigError(f"entry point group otel_ext.rules: {problem}; mend or uninstall that package")
    for path, text in mistakes(rules.types, settings):
        where = ".".join((SIGNALS, *path))
        leaf = next((leaf for key, leaf in origins.items() if f"{key}.".startswith(f"{where}.")), None)
        raise ConfigError(f"{leaf.origin}: `{where}`: {text}" if leaf else f"`{where}`: {text}")
    return settings
