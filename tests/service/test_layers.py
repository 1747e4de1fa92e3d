"""Layers, references and what `validate` shows of them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ext.errors import ConfigError
from otel_ext.service import effective, load, load_config, source_of
from otel_ext.service.fit import Duration, seconds_as_text
from otel_ext.service.layers import Leaf, Source, merge, read
from otel_ext.service.references import NESTED, expand

SECRET = "hunter2-and-more"


def value(text: str) -> object:
    """What a scalar in a file becomes."""
    tree = expand(read(Source(f"a: {text}", "f")))
    assert isinstance(tree, dict)
    leaf = tree["a"]
    return leaf.value if isinstance(leaf, Leaf) else leaf


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in {
        "OTX_NUMBER": "12",
        "OTX_OCTAL": "0123",
        "OTX_LIST": "[a, 1]",
        "OTX_EMPTY": "",
        "OTX_NAME": "NUMBER",
        "OTX_NESTED": "<${env:OTX_NUMBER}>",
        "OTX_DOLLARS": "a$$b$c",
        "OTX_LOOP": "${OTX_LOOP}",
        "OTX_API_KEY": SECRET,
        "OTX_COLON": "a: b: c",
        "OTX_TOKEN_NAME": SECRET.replace("-", "_"),
    }.items():
        monkeypatch.setenv(name, text)
    monkeypatch.delenv("OTX_NONE", raising=False)


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("${env:OTX_NUMBER}", 12),
        ("${OTX_NUMBER}", 12),
        ("x${OTX_NUMBER}", "x12"),
        ("${OTX_NUMBER}${OTX_NUMBER}", "1212"),
        ("${OTX_LIST}", ["a", 1]),
        ("${OTX_NONE:-7}", 7),
        ("${OTX_NONE:-}", ""),
        ("${OTX_EMPTY:-7}", ""),
        ("${env:OTX_NONE:-${OTX_NUMBER}}", 12),
        ("${OTX_${OTX_NAME}}", 12),
        ("${OTX_NESTED}", "<12>"),
        ("${OTX_DOLLARS}", "a$$b$c"),
        ("$${OTX_NUMBER}", "${OTX_NUMBER}"),
        ("$$$${x", "$${x"),
        ("a$b", "a$b"),
        ("${OTX_COLON}", "a: b: c"),
        ("[1, '${OTX_NUMBER}']", [1, 12]),
    ],
)
def test_a_reference_becomes_what_it_says(text: str, becomes: object) -> None:
    """Typed when it stands alone, text otherwise, a doubled dollar sign is one."""
    assert value(text) == becomes


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("${OTX_NONE}", "f:1: the environment variable OTX_NONE is not set"),
        ("${http:x}", "is none of"),
        ("${1x}", "is none of"),
        ("${}", "is none of"),
        ("x${OTX_NUMBER", "is not closed"),
        ("${OTX_LOOP}", f"more than {NESTED} deep"),
        ("${file:/nowhere/at/all}", "cannot be read: No such file"),
    ],
)
def test_a_reference_to_nothing_is_an_error(text: str, says: str) -> None:
    """It names the place and what is missing."""
    with pytest.raises(ConfigError) as caught:
        value(text)
    assert says in str(caught.value)


def test_a_text_key_keeps_the_characters_of_a_reference() -> None:
    """A header's "0123" stays so, though YAML would call it a number."""
    text = "exporters: {otlp: {endpoint: 'http://h:1', headers: {x: '${OTX_OCTAL}'}}}"
    (destination,) = load_config(text).forward
    assert destination.headers == {"x": "0123"}


def test_a_file_is_taken_without_its_last_newline(tmp_path: Path) -> None:
    """As secrets are mounted."""
    (tmp_path / "token").write_text(f"{SECRET}\n")
    headers = f"{{x: 'Bearer ${{file:{tmp_path}/token}}'}}"
    text = f"exporters: {{otlp: {{endpoint: 'http://h:1', headers: {headers}}}}}"
    assert load_config(text).forward[0].headers == {"x": f"Bearer {SECRET}"}


def test_later_layers_win() -> None:
    """Mappings merge, lists are replaced, null takes out, and an overridden reference is never looked up."""
    layers = [
        "processors: {sessions: {idle_timeout: '${OTX_NONE}', hold: 1s}, "
        "signals: {rules: {loop.poll_stalled: {mode: 'off'}}}}",
        "processors: {sessions: {idle_timeout: 5s}, "
        "signals: {rules: {loop.poll_stalled: {mode: 'on'}}}, dedup: {window_spans: 3}}",
        "processors: {dedup: null}",
        "",
    ]
    engine = load([Source(text, str(n)) for n, text in enumerate(layers)], {}).config.engine
    assert (engine.idle_timeout, engine.hold, engine.dedup_window) == (
        5,
        1,
        load_config().engine.dedup_window,
    )
    assert engine.signals.rules["loop.poll_stalled"].mode == "on"


def test_the_command_line_is_taken_as_it_is() -> None:
    """A shell has already replaced what it had to; it wins over every file."""
    loaded = load([Source("exporters: {file: {path: /f}}", "f")], {"data": "/x/${OTX_NONE}$$"})
    assert loaded.config.data == Path("/x/${OTX_NONE}$$")
    assert 'path: "/x/$${OTX_NONE}$$$$"  # --data\n' in effective(loaded)


def test_each_kind_of_source_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FILE, file:FILE, env:NAME, yaml:TEXT and a path in it."""
    file = tmp_path / "c.yaml"
    file.write_text("service: {drain_idle: 1s}")
    monkeypatch.setenv("OTX_CONFIG", "service: {drain_idle: 1s}")
    references = [str(file), f"file:{file}", "env:OTX_CONFIG", "yaml:service: {drain_idle: 1s}"]
    for reference in [*references, "yaml:service::drain_idle: 1s"]:
        assert load([source_of(reference)], {}).config.drain_idle == 1, reference


def test_null_is_the_default_and_switches_a_protocol_on() -> None:
    """The Collector's `protocols: {grpc: , http: }`; off is `enabled: false`, and not for both."""
    assert load_config("receivers: {otlp: {protocols: {grpc: , http: }}}") == load_config()
    off = "receivers: {otlp: {protocols: {http: {enabled: false}}}}"
    assert load_config(off).http_endpoint is None
    with pytest.raises(ConfigError, match="at least one of grpc and http"):
        load_config("receivers: {otlp: {protocols: {http: {enabled: false}, grpc: {enabled: false}}}}")


def test_what_validate_shows_can_be_loaded_again() -> None:
    """The same configuration comes out, odd characters and pipelines included."""
    text = """
receivers: {otlp: {protocols: {grpc: {endpoint: 'unix:///run/o x.sock'}}}}
processors: {sessions: {idle_timeout: 1h30m}, signals: {rules: {waste.failed_call: {mode: 'off'},
  loop.exact_repeat: {limits: {rounds: {notice: 2}}}}, effects: {my_tool: read}}}
exporters: {file: {path: "/d$$a: #b\\u00e9"}, otlp/x: {endpoint: 'http://h:1', sending_queue: {sizer: bytes,
  queue_size: 5}}, otlphttp: {endpoint: 'http://h', timeout: 1500us, derived_only: true}}
extensions: {health_check: {endpoint: "h:1"}}
service: {extensions: [health_check], pipelines: {traces: {receivers: [otlp], exporters: [otlp/x, otlphttp]}},
  telemetry: {metrics: {readers: [{pull: {exporter: {prometheus: {host: h, port: 1}}}}]}}}
"""
    loaded = load([Source(text, "f")], {})
    again = load([Source(effective(loaded), "again")], {})
    assert again.config == loaded.config


def test_each_value_names_its_source(tmp_path: Path) -> None:
    """Default, file and line, variable, option."""
    (tmp_path / "window").write_text("99")
    text = "service:\n  drain_idle: 1s\nextensions: {journal: {segment_mib: '${OTX_NUMBER}'}}\n"
    text += f"processors: {{dedup: {{window_spans: '${{file:{tmp_path}/window}}'}}}}"
    shown = effective(load([Source(text, "otel.yaml")], {"grpc": "127.0.0.1:0"}))
    for line in (
        "drain_idle: 1s  # otel.yaml:2",
        "segment_mib: 12  # env:OTX_NUMBER",
        f'window_spans: "[REDACTED]"  # file:{tmp_path}/window',
        "endpoint: 127.0.0.1:0  # --grpc",
        "checkpoint_interval: 2s  # default",
    ):
        assert f" {line}\n" in shown


@pytest.mark.parametrize(
    "header", [SECRET, "${OTX_API_KEY}", "Bearer ${env:OTX_API_KEY}", "${env:OTX_NONE:-" + SECRET + "}"]
)
def test_secrets_are_not_shown(header: str) -> None:
    """However a header is written, and wherever a secret variable is used."""
    text = f"exporters: {{otlp: {{endpoint: 'http://h:1', headers: {{x-y: '{header}'}}}}}}\n"
    text += "extensions: {health_check: {endpoint: '${OTX_API_KEY}:1'}}"
    loaded = load([Source(text, "f")], {})
    assert SECRET in loaded.config.forward[0].headers["x-y"]
    assert SECRET not in effective(loaded)


@pytest.mark.parametrize(
    "text",
    [
        "service: {drain_idle: '${OTX_API_KEY}'}",
        "extensions: {journal: {segment_mib: '${OTX_API_KEY}'}}",
        "extensions: {health_check: {endpoint: '${OTX_API_KEY}'}}",
        "receivers: {otlp: {protocols: {grpc: {endpoint: '${OTX_API_KEY}'}}}}",
        "exporters: {otlp: {endpoint: '${OTX_API_KEY}', tls: {insecure: true}}}",
        "exporters: {otlphttp: {endpoint: '${OTX_API_KEY}'}}",
        "exporters: {otlp: {endpoint: 'http://h:1', headers: {x: [" + SECRET + "]}}}",
        "a: {b: '" + SECRET,
        "service: {extensions: ['${OTX_API_KEY}']}",
        "service: {telemetry: {logs: {level: '${OTX_API_KEY}'}}}",
        "service: {telemetry: {metrics: {readers: ['${OTX_API_KEY}']}}}",
        "a: ${${OTX_API_KEY}}",
        "a: ${env:${OTX_TOKEN_NAME}}",
        "a: ${file:${OTX_API_KEY}}",
    ],
)
def test_no_error_shows_a_secret(text: str) -> None:
    """A value that cannot be used is named by its place, not by its content."""
    with pytest.raises(ConfigError) as caught:
        load_config(text)
    assert SECRET not in str(caught.value).replace("_", "-")
    assert caught.value.__cause__ is None or SECRET not in str(caught.value.__cause__)


@given(st.integers(0, 10**15))
def test_a_duration_is_shown_as_it_is_written(microseconds: int) -> None:
    """What is shown reads back as the same number of ns."""
    text = seconds_as_text(microseconds / 1e6)
    again = load_config(f"service: {{drain_idle: {text}}}").drain_idle
    assert round(again * 1e6) == microseconds
    assert isinstance(again, Duration)


_trees = st.recursive(
    st.integers() | st.none(),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, min_size=1),
    max_leaves=6,
).map(lambda plain: plain if isinstance(plain, dict) else {"a": plain})


@given(st.lists(_trees, min_size=1, max_size=4))
def test_merging_is_associative_where_nothing_is_taken_out(plain: list[dict[str, object]]) -> None:
    """Layers may be joined in any grouping; the last one's values are all there."""

    def tree(value: object) -> object:
        return {k: tree(v) for k, v in value.items()} if isinstance(value, dict) else Leaf(value or 0, "f")

    layers = [tree(each) for each in plain]
    whole = merge(layers)  # type: ignore[arg-type]
    stepwise = merge([merge(layers[:2]), *layers[2:]])  # type: ignore[arg-type, list-item]
    assert whole == stepwise
    assert merge([whole, layers[-1]]) == whole  # type: ignore[list-item]


def test_a_merge_key_takes_over_what_stands_elsewhere() -> None:
    """`<<` with one mapping and with several; what stands in the mapping itself wins."""
    text = """
exporters:
  otlp/a: &a {endpoint: 'http://h:1', timeout: 3s}
  otlp/b: {<<: *a, timeout: 4s}
  otlp/c: {<<: [{compression: none}, *a]}
"""
    _, b, c = load_config(text).forward
    assert (b.endpoint, b.timeout) == ("http://h:1", 4)
    assert (c.endpoint, c.timeout, c.compression) == ("http://h:1", 3, "none")


def _bomb(level: str, item: str) -> str:
    """Ten levels, each naming the one before it ten times."""
    levels = [
        f"l{n}: &l{n} {level % ','.join(item.format(i, n - 1) for i in range(10))}\n" for n in range(1, 11)
    ]
    return "l0: &l0 {x: 1}\n" + "".join(levels)


@pytest.mark.parametrize(
    "text",
    [
        "&a a: *a",
        "a: &x {b: *x}",
        "a: &x [*x]",
        "a: !!python/object/apply:os.system [x]",
        "a: \0",
        'a: "${file:x\\0y}"',
        "a: ${file:/dev/zero}",
        _bomb("{%s}", "k{}: *l{}"),
        _bomb("[%s]", "*l{1}"),
        _bomb("{<<: [%s]}", "*l{1}"),
        "a: " + "[" * 5000,
        "service: {drain_idle: 999999999999h}",
    ],
)
def test_a_hostile_file_is_refused(text: str) -> None:
    """Aliases that hold themselves or multiply, tags that would make objects, names and texts without end."""
    with pytest.raises(ConfigError):
        load_config(text)
