"""`service.extensions` and `service.pipelines`: names of components, checked against what there is.

Law of this file: a name that means nothing here is an error, so that nobody believes in a step that is not
taken. Files get everything whatever the pipelines say, because they are what makes an answer true; pipelines
decide which destination gets which telemetry.
"""

from collections.abc import Iterable

from otel_ext.errors import ConfigError
from otel_ext.service.fit import Origins, at, unknown
from otel_ext.service.processors import ProcessorsConfig
from otel_ext.service.shape import (
    ExtensionsConfig,
    FileShape,
    PipelineConfig,
    ReceiversConfig,
)
from otel_ext.telemetry import Telemetry


def wanted(shape: FileShape, origins: Origins) -> dict[str, frozenset[Telemetry]] | None:
    """Which telemetry goes to which exporter, by id; None where there are no pipelines.

    Raises:
        ConfigError: a name that is no component, or a pipeline without a receiver or an exporter.
    """
    _known(shape.service.extensions, _fields(ExtensionsConfig), "extension", "service.extensions", origins)
    exporters = {"file", *shape.exporters.otlp, *shape.exporters.otlphttp}
    found: dict[str, frozenset[Telemetry]] = {}
    for telemetry in Telemetry:
        for name, pipeline in getattr(shape.service.pipelines, telemetry.value).items():
            assert isinstance(pipeline, PipelineConfig)
            path = f"service.pipelines.{name}"
            _known(pipeline.receivers, _fields(ReceiversConfig), "receiver", f"{path}.receivers", origins)
            _known(pipeline.processors, _fields(ProcessorsConfig), "processor", f"{path}.processors", origins)
            _known(pipeline.exporters, exporters, "exporter", f"{path}.exporters", origins)
            if not pipeline.receivers or not pipeline.exporters:
                raise ConfigError(f"`{path}` must name at least one receiver and one exporter")
            for exporter in pipeline.exporters:
                found[exporter] = found.get(exporter, frozenset()) | {telemetry}
    return found or None


def _known(names: Iterable[str], known: Iterable[str], what: str, path: str, origins: Origins) -> None:
    names, known = list(names), sorted(known)
    for name in names:
        if name not in known:
            hidden = path in origins and origins[path].secret
            words = (
                f"unknown {what}, known are: {', '.join(known)}"
                if hidden
                else unknown(what, name, name, known)
            )
            raise ConfigError(f"{at(origins, path)}: {words}")


def _fields(shape: type) -> tuple[str, ...]:
    fields: tuple[str, ...] = shape.__struct_fields__  # type: ignore[attr-defined]
    return fields
