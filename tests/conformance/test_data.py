"""Items 53 to 60: the data model."""

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.builders import START, request
from tests.conformance.conftest import Start
from tests.conformance.farside import GrpcFarSide
from tests.conformance.forwarders import to_grpc
from tests.conformance.targets import Target
from tests.conformance.wire import check, should


def full_span(target: Target) -> Span:
    """A span with something in every field."""
    (made,) = target.spans()
    made.trace_state, made.parent_span_id, made.flags, made.kind = (
        "a=1,b=2",
        b"parentid",
        0x301,
        Span.SPAN_KIND_CLIENT,
    )
    for name in ("attributes", "events", "links"):
        setattr(made, f"dropped_{name}_count", len(name))
    made.status.code, made.status.message = Status.STATUS_CODE_ERROR, "it failed: \u00e9\u4e16"
    event = made.events.add(name="event", time_unix_nano=START + 5, dropped_attributes_count=3)
    event.attributes.add(key="n").value.int_value = -(2**63)
    link = made.links.add(trace_id=b"\xaa" * 16, span_id=b"\xbb" * 8, trace_state="c=3", flags=0x100)
    link.attributes.add(key="d").value.double_value = 0.1
    link.dropped_attributes_count = 4
    nested = made.attributes.add(key="nested").value
    nested.array_value.values.add().bytes_value = b"\0\xff"
    inner = nested.array_value.values.add().kvlist_value.values.add(key="k")
    inner.value.bool_value = False
    nested.array_value.values.add()
    return made


def kept(target: Target, sent: Span) -> Span:
    """The span as it is stored, sent through each door in turn."""
    answer = target.grpc.send(request(sent))
    check(answer.ok and not answer.rejected, f"answered {answer}")
    return target.stored(sent.trace_id)[0].span


def test_item_53_invalid_ids(target: Target) -> None:
    """Each way for an id to be wrong costs its span and no other."""
    for field, value in (
        ("trace_id", b""),
        ("trace_id", bytes(16)),
        ("trace_id", b"short"),
        ("span_id", b""),
        ("span_id", bytes(8)),
        ("span_id", b"much too long"),
    ):
        for door in target.doors:
            bad, good = target.spans(2)
            setattr(bad, field, value)
            answer = door.send(request(bad, good))
            check(
                answer.ok, f"answered {answer} to a {field} of {len(value)} bytes: the good span is lost too"
            )
            check(answer.rejected == 1, f"stored a span with a {field} of {len(value)} bytes ({door.name})")
            target.stored(good.trace_id)


def test_item_54_parents(target: Target) -> None:
    """Whatever the parent id, the span is stored."""
    for parent in (b"", bytes(8), b"odd"):
        (sent,) = target.spans()
        sent.parent_span_id = parent
        got = kept(target, sent).parent_span_id
        check(got.strip(b"\0") == parent.strip(b"\0"), f"made {got!r} of parent {parent!r}")


def test_item_55_end_before_start(target: Target) -> None:
    """Both times as they came."""
    (sent,) = target.spans()
    sent.start_time_unix_nano, sent.end_time_unix_nano = START + 10**9, START
    got = kept(target, sent)
    check((got.start_time_unix_nano, got.end_time_unix_nano) == (START + 10**9, START), "changed the times")


def test_item_56_flags(target: Target) -> None:
    """All 32 bits."""
    for flags in (0, 1, 0x100, 0x301, 2**32 - 1):
        (sent,) = target.spans()
        sent.flags = flags
        check(kept(target, sent).flags == flags, f"made {flags:#x} something else")


def test_item_57_everything_else(target: Target) -> None:
    """Trace state, schema URLs, counts, status, links, events."""
    sent = full_span(target)
    message = ExportTraceServiceRequest.FromString(request(sent))
    group = message.resource_spans[0]
    group.schema_url, group.scope_spans[0].schema_url = "https://example.org/r", "https://example.org/s"
    group.resource.dropped_attributes_count = 7
    group.scope_spans[0].scope.version = "1.2"
    group.scope_spans[0].scope.attributes.add(key="scoped").value.bool_value = True
    check(target.http.send(message.SerializeToString()).ok, "refused a full span")
    (stored,) = target.stored(sent.trace_id)
    check(stored.span == sent, "changed the span")
    check(
        stored.resource == group.resource and stored.scope == group.scope_spans[0].scope,
        "changed the resource",
    )
    check(
        (stored.resource_url, stored.scope_url) == (group.schema_url, group.scope_spans[0].schema_url),
        "lost a URL",
    )


def test_item_58_unknown_fields(start: Start) -> None:
    """Field 999 in every message: accepted, and forwarded with its bytes."""
    unknown = b"\xba\x3e\x05hello"  # length-delimited; field 1000 of ResourceSpans had a meaning once
    with GrpcFarSide() as far:
        made = start(*to_grpc(far.endpoint))
        (sent,) = made.spans()
        message = ExportTraceServiceRequest.FromString(request(sent))
        group = message.resource_spans[0]
        scope = group.scope_spans[0]
        for part in (message, group, group.resource, scope, scope.scope, scope.spans[0]):
            part.MergeFromString(unknown)
        body = message.SerializeToString()
        assert body.count(unknown) == 6
        answer = made.grpc.send(body)
        check(answer.ok and not answer.rejected, f"answered {answer}")
        far.wait_for(sent.span_id)
        got = next(b for b in far.bodies if sent.span_id in b)
        should(got.count(unknown) == 6, f"forwarded {got.count(unknown)} of 6 unknown fields")


def test_item_59_odd_attributes(target: Target) -> None:
    """A value without a value, the same key twice, an order that is not the alphabet's."""
    (sent,) = target.spans()
    sent.attributes.add(key="z").value.SetInParent()
    sent.attributes.add(key="a").value.string_value = "1"
    sent.attributes.add(key="a").value.string_value = "2"
    sent.attributes.add(key="empty").value.string_value = ""
    got = kept(target, sent)
    check(list(got.attributes) == list(sent.attributes), f"stored {[a.key for a in got.attributes]}")


def test_item_60_own_resource_and_scope(target: Target) -> None:
    """Two resources with two scopes each in one request: every span keeps its own."""
    spans = target.spans(4)
    message = ExportTraceServiceRequest()
    for number, one in enumerate(spans):
        group = message.resource_spans.add()
        group.resource.attributes.add(key="service.name").value.string_value = f"service {number // 2}"
        scope = group.scope_spans.add()
        scope.scope.name = f"scope {number % 2}"
        scope.spans.append(one)
    check(target.json.send(message.SerializeToString()).ok, "refused")
    stored = {s.span.span_id: s for s in target.stored(spans[0].trace_id, 4)}
    for number, one in enumerate(spans):
        got = stored[one.span_id]
        pair = got.resource.attributes[0].value.string_value, got.scope.name
        check(pair == (f"service {number // 2}", f"scope {number % 2}"), f"stored a span under {pair}")
