"""Destinations and pipelines: what is accepted from a Collector's file, and what is refused with a reason."""

import pytest

from otel_ext.errors import ConfigError
from otel_ext.service import load_config
from otel_ext.service.config import SideDoor
from otel_ext.telemetry import Telemetry

OPERATOR = """
receivers:
  otlp:
    protocols:
      grpc:
      http:
        endpoint: 127.0.0.1:4318
exporters:
  otlp/up:
    endpoint: collector:4317
    tls: {insecure: true}
    headers: {x-tenant: a}
    compression: none
    timeout: 3s
    retry_on_failure: {enabled: true, initial_interval: 1s, max_interval: 9s, max_elapsed_time: 2m}
    sending_queue: {enabled: true, num_consumers: 2, sizer: bytes, queue_size: 1000000}
  otlphttp:
    endpoint: http://other:4318/base/
    derived_only: true
    ack: forwarded
extensions: {health_check: {endpoint: "0.0.0.0:13133"}}
service:
  extensions: [health_check]
  telemetry:
    logs: {level: warn, encoding: json}
    metrics: {level: normal, readers: [{pull: {exporter: {prometheus: {host: 0.0.0.0, port: 8888}}}}]}
  pipelines:
    traces: {receivers: [otlp], processors: [sessions, dedup], exporters: [file, otlp/up]}
    traces/2: {receivers: [otlp], exporters: [otlphttp]}
    logs: {receivers: [otlp], exporters: [otlp/up]}
"""


def test_a_file_in_the_collectors_words_is_read() -> None:
    """Every value arrives; pipelines decide what goes where."""
    config = load_config(OPERATOR)
    up, other = config.forward
    assert (up.name, up.protocol, up.endpoint) == ("otlp/up", "grpc", "http://collector:4317")
    assert (up.headers, up.compression, up.timeout) == ({"x-tenant": "a"}, "none", 3)
    assert (up.retry, up.retry_initial, up.retry_max, up.max_elapsed) == (True, 1, 9, 120)
    assert (up.consumers, up.queue_bytes) == (2, 1_000_000)
    assert up.telemetries == frozenset({Telemetry.TRACES, Telemetry.LOGS})
    assert (other.protocol, other.endpoint, other.timeout) == ("http", "http://other:4318/base", 30)
    assert (other.derived_only, other.acknowledges) == (True, True)
    assert other.telemetries == frozenset({Telemetry.TRACES})
    assert config.health == SideDoor("0.0.0.0:13133", asked=True)
    assert config.metrics == SideDoor("0.0.0.0:8888", asked=True)
    assert (config.log_level, config.log_encoding) == ("warn", "json")


def test_the_collectors_newer_names_are_known() -> None:
    """`otlp_grpc` and `otlp_http`; a destination keeps the name it was given."""
    text = OPERATOR.replace("otlp/up", "otlp_grpc/up").replace("otlphttp", "otlp_http")
    up, other = load_config(text).forward
    assert (up.name, up.protocol, up.endpoint) == ("otlp_grpc/up", "grpc", "http://collector:4317")
    assert (other.name, other.protocol, other.timeout) == ("otlp_http", "http", 30)


def test_without_pipelines_everything_goes_everywhere() -> None:
    """And what nobody asked for yields to others."""
    config = load_config("exporters: {otlp: {endpoint: 'http://h:1'}}")
    assert config.forward[0].telemetries == set(Telemetry)
    assert config.health == SideDoor("127.0.0.1:13133", asked=False)
    assert load_config("service: {telemetry: {metrics: {level: none}}}").metrics is None


OTLP = "exporters: {otlp: {endpoint: 'http://h:1', %s}}"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("exporters: {otlp: {endpoint: 'h:4317'}}", "asks for TLS, which comes with a later version"),
        ("exporters: {otlp: {endpoint: 'https://h:4317'}}", "asks for TLS"),
        ("exporters: {otlphttp: {endpoint: 'https://h'}}", "asks for TLS"),
        (OTLP % "tls: {ca_file: x}", "`exporters.otlp.tls.ca_file`: TLS comes with a later version"),
        ("receivers: {otlp: {protocols: {grpc: {tls: {}}}}}", "TLS comes with a later version"),
        ("exporters: {otlp: {}}", "`exporters.otlp.endpoint`"),
        ("exporters: {otlp/: {}}", "unknown key `exporters.otlp/`"),
        ("exporters: {file/2: {}}", "unknown key `exporters.file/2`"),
        ("exporters: {debug: {}}", "known are: file, otlp, otlphttp"),
        ("exporters: {otlp_htp: {}}", "did you mean `otlphttp`?"),
        ("exporters: {otlphttp: {endpoint: 'ftp://h'}}", "must be a URL like"),
        ("exporters: {otlphttp: {endpoint: 'http://u:p@h'}}", "credentials go into `headers`"),
        ("exporters: {otlp: {endpoint: 'http://h:0'}}", "must be HOST:PORT"),
        (OTLP % "compression: zst", "`exporters.otlp.compression`"),
        (OTLP % "sending_queue: {queue_size: 1000}", "counted in bytes here; say so with `sizer: bytes`"),
        (OTLP % "sending_queue: {enabled: false}", "the queue is the journal"),
        (OTLP % "sending_queue: {storage: x}", "what waits is in the journal"),
        (OTLP % "sending_queue: {num_consumers: 0}", "must be at least 1"),
        (OTLP % "timeout: 0s", "must be more than 0"),
        ("processors: {batch: {}}", "it is not needed"),
        ("processors: {memory_limiter: {check_interval: 1s}}", "memory is looked at twice a second"),
        ("processors: {memory_limiter: {limit_percentage: 101}}", "must be 100 or less, not 101"),
        ("processors: {services: {share: 0}}", "must be over 0, and 1 or less"),
        ("service: {extensions: [zpages]}", "unknown extension `zpages`; known are: health_check, journal"),
        ("service: {pipelines: {profiles: {}}}", "unknown key `service.pipelines.profiles`"),
        (
            "service: {pipelines: {traces: {receivers: [otlp], exporters: [otlp]}}}",
            "unknown exporter `otlp`; known are: file",
        ),
        (
            "service: {pipelines: {traces: {receivers: [zipkin], exporters: [file]}}}",
            "unknown receiver `zipkin`; known are: otlp",
        ),
        (
            "service: {pipelines: {traces: {receivers: [otlp], processors: [batch], exporters: [file]}}}",
            "unknown processor `batch`: it is not needed",
        ),
        ("service: {pipelines: {traces: {receivers: [otlp]}}}", "at least one receiver and one exporter"),
        (
            OTLP % "" + "\nservice: {pipelines: {logs: {receivers: [otlp], exporters: [file]}}}",
            "`exporters.otlp` is in none of the `service.pipelines`",
        ),
        ("service: {telemetry: {metrics: {readers: [{periodic: {}}]}}}", "must be one `pull` reader"),
        ("receivers: {otlp: {protocols: {grpc: {endpoint: 'unix://x'}}}}", "must be unix:///PATH"),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_reason(text: str, says: str) -> None:
    """Nothing is accepted and then not done."""
    with pytest.raises(ConfigError) as caught:
        load_config(text)
    assert says in str(caught.value)


def test_a_destination_without_an_endpoint_goes_where_the_variables_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As an SDK would; what the file says wins, and without either it is an error."""
    with pytest.raises(ConfigError, match=r"exporters\.otlphttp\.endpoint"):
        load_config("exporters: {otlphttp: {}}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://far:4318")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-a=1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "7")
    taken, own, there = load_config(
        "exporters: {otlphttp: {}, otlphttp/own: {headers: {x-b: '2'}, timeout: 3s}, "
        "otlphttp/there: {endpoint: 'http://there'}}"
    ).forward
    assert (taken.endpoint, taken.headers, taken.timeout) == ("http://far:4318", {"x-a": "1"}, 7)
    assert (own.endpoint, own.headers, own.timeout) == ("http://far:4318", {"x-b": "2"}, 3)
    assert (there.endpoint, there.headers, there.timeout) == ("http://there", {}, 30)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "https://far:4318")
    with pytest.raises(ConfigError, match="asks for TLS"):
        load_config("exporters: {otlphttp: {}}")
