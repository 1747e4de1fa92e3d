"""Settings of the SDK side: keyword over environment variable over default.

Law of this file: a bad keyword is an error (`ConfigError`, it names the keyword: the program or the
configuration file is wrong and its author is there), a bad variable is a warning that names it and the
default is taken (a guest never keeps its host from starting, law L11).
"""

import logging
import os
import signal
import tempfile
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from otel_ext.errors import ConfigError
from otel_ext.pipeline import IN_PROCESS, EngineSettings
from otel_ext.pipeline.folder import default_data
from otel_ext.signals import Settings as SignalSettings
from otel_ext.signals import every_rule, mistakes

MIB: Final = 1 << 20
_PREFIX: Final = "OTEL_EXT_"
_log = logging.getLogger("otel_ext.sdk")

_AtLeastOne = Annotated[int, msgspec.Meta(ge=1)]
_Seconds = Annotated[float, msgspec.Meta(ge=0)]


class Settings(msgspec.Struct, kw_only=True, frozen=True):
    """Settings of a processor or an exporter; the variable of each is `OTEL_EXT_` and its name in capitals.

    Attributes:
        data: the data folder, absolute.
        sync: `interval` keeps what was handed over in the page cache, which survives any death of the
            process, and flushes it to the disk every 0.1 s; `always` flushes before `on_end` returns;
            `never` leaves it to the kernel.
        session: session id for root spans that carry none.
        idle_timeout: seconds of silence after which a session has ended.
        crash_hooks: whether uncaught exceptions mark sessions.
        crash_signals: names of fatal signals that mark sessions, comma-separated; none by default.
        queue_mib: memory for spans that the disk does not take now.
        min_free_mib: free disk space that is left alone.
        signals: what the detectors are told, as the sidecar's `processors.signals` (`docs/signals.md`): a
            mapping, or JSON in the variable.
        shutdown_timeout: seconds that `shutdown` may wait for the last spans to be processed.
    """

    data: str = ""
    sync: Literal["interval", "always", "never"] = "interval"
    session: str = ""
    idle_timeout: _Seconds = IN_PROCESS.idle_timeout
    crash_hooks: bool = True
    crash_signals: str = ""
    queue_mib: _AtLeastOne = 64
    min_free_mib: Annotated[int, msgspec.Meta(ge=0)] = IN_PROCESS.min_free // MIB
    shutdown_timeout: _Seconds = 10.0
    signals: SignalSettings = SignalSettings()

    def __post_init__(self) -> None:
        for name in self.signal_names:
            if name not in signal.Signals.__members__:
                raise ValueError(f"{name!r} is not a signal's name like SIGTERM")

    @property
    def folder(self) -> Path:
        """The data folder."""
        return Path(self.data)

    @property
    def signal_names(self) -> list[str]:
        """Names in `crash_signals`."""
        return [name.strip() for name in self.crash_signals.split(",") if name.strip()]

    @property
    def engine(self) -> EngineSettings:
        """What the engine is told."""
        return msgspec.structs.replace(
            IN_PROCESS,
            # `always` is the recorder's: it syncs after each hand-over, and threads share one sync.
            sync="never" if self.sync == "never" else "interval",
            idle_timeout=self.idle_timeout,
            min_free=self.min_free_mib * MIB,
            signals=self.signals,
        )


def read(**keywords: object) -> Settings:
    """Settings from keywords (None: not given), the environment and the defaults.

    Raises:
        ConfigError: a keyword is unknown or has an unusable value.
    """
    known = {item.name: item for item in msgspec.structs.fields(Settings)}
    values: dict[str, Any] = {}
    for name, item in known.items():
        variable = _PREFIX + name.upper()
        text = os.environ.get(variable, "").strip()
        if text:
            try:
                values[name] = _value(name, item.type, text)
            except ValueError as error:
                _log.warning("%s=%r is ignored, the default is taken: %s", variable, text, error)
    for name, value in keywords.items():
        if name not in known:
            raise ConfigError(f"unknown setting {name!r}; known are: {', '.join(known)}")
        if value is None:
            continue
        try:
            values[name] = _value(name, known[name].type, value)
        except ValueError as error:
            raise ConfigError(f"{name}={value!r} cannot be used: {error}") from error
    values["data"] = str(_folder(values.get("data", "")))
    return Settings(**values)


def _folder(data: str) -> Path:
    """The data folder, absolute: the program may change its working directory later."""
    try:
        return (Path(data).expanduser() if data else default_data()).absolute()
    except RuntimeError as error:  # a user without a home
        folder = Path(tempfile.gettempdir()) / f"otel-ext-{os.getuid()}"
        _log.warning("there is no default data folder, %s is taken; set OTEL_EXT_DATA: %s", folder, error)
        return folder


def truth(text: str) -> bool:
    """Whether a variable's text means yes: `true`, `1`, `yes` or `on`."""
    return text.strip().lower() in {"true", "1", "yes", "on"}


def _value(name: str, kind: Any, value: object) -> object:
    """The value as its field's type.

    Raises:
        ValueError: it is none (msgspec's ValidationError is one).
    """
    if isinstance(value, str):
        value = value.strip()
        if kind is bool and value.lower() in {"yes", "on", "no", "off"}:
            value = truth(value)
    elif isinstance(value, Path):
        value = str(value)
    elif isinstance(value, list | tuple) and name == "crash_signals":
        value = ",".join(map(str, value))
    if name == "data":
        try:
            Path(str(value)).expanduser()
        except RuntimeError as error:
            raise ValueError(str(error)) from error
    if name == "signals":
        return _signals(value)
    converted = msgspec.convert(value, kind, strict=False)
    Settings(**{name: converted})  # what only the struct itself checks
    return converted


def _signals(value: object) -> SignalSettings:
    given = msgspec.json.decode(value) if isinstance(value, str) else value
    found = msgspec.convert(given, SignalSettings)
    rules = every_rule()
    for problem in rules.problems:
        _log.warning("a rule is left out: %s", problem)
    for path, text in mistakes(rules.types, found):
        raise ValueError(f"{'.'.join(path)}: {text}")
    return found
