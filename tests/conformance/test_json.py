"""Items 38 to 46: OTLP/JSON as it may arrive."""

import base64
import json
import math
from typing import Any

from tests.builders import request
from tests.conformance import otlpjson
from tests.conformance.targets import Target
from tests.conformance.wire import Answer, check

Tree = dict[str, Any]


def tree_of(target: Target, count: int = 1) -> tuple[bytes, Tree, list[Tree]]:
    """A trace id, a request of its spans in JSON, and the spans in it."""
    sent = target.spans(count)
    tree = otlpjson.encode(request(*sent))
    return sent[0].trace_id, tree, tree["resourceSpans"][0]["scopeSpans"][0]["spans"]


def post(target: Target, tree: Tree) -> Answer:
    """Send a JSON object."""
    return target.json.post(json.dumps(tree).encode())


def test_item_38_hex_ids(target: Target) -> None:
    """Upper, lower and mixed case mean the same, in every id."""
    for change in (str.upper, str.lower, str.title):
        trace, tree, (sent,) = tree_of(target)
        sent["parentSpanId"] = "00f0AbCdEf012345"
        sent["links"] = [{"traceId": "0Af7651916cd43dd8448eb211c80319C", "spanId": "B7ad6b7169203331"}]
        for carrier in (sent, *sent["links"]):
            for key in ("traceId", "spanId", "parentSpanId"):
                if key in carrier:
                    carrier[key] = change(carrier[key])
        answer = post(target, tree)
        check(answer.ok and answer.rejected == 0, f"answered {answer}")
        (stored,) = target.stored(trace)
        check(stored.span.parent_span_id.hex() == "00f0abcdef012345", "read another parent id")
        check(stored.span.links[0].trace_id.hex() == "0af7651916cd43dd8448eb211c80319c", "read another link")
        check(stored.span.links[0].span_id.hex() == "b7ad6b7169203331", "read another link")


def test_item_39_base64_is_no_id(target: Target) -> None:
    """The base64 of a good id is a bad one; its span is rejected, the other stored."""
    trace, tree, spans = tree_of(target, 3)
    spans[1]["traceId"] = base64.b64encode(trace).decode()
    spans[2]["spanId"] = base64.b64encode(bytes.fromhex(spans[2]["spanId"])).decode()
    answer = post(target, tree)
    check(answer.ok, f"answered {answer.code}: the valid span is lost too")
    check(answer.rejected == 2, f"rejected {answer.rejected} of 2")
    check(len(target.settled(trace)) == 1, "stored a span under an id in base64")


def test_item_40_unknown_keys(target: Target) -> None:
    """A newer client's keys, at every level."""
    trace, tree, (sent,) = tree_of(target)
    sent["events"] = [{"name": "e", "timeUnixNano": "1790000000000000000"}]
    sent["links"] = [{"traceId": "0a" * 16, "spanId": "0b" * 8}]
    sent["status"] = {"code": 1}
    value = sent["attributes"][0]["value"]
    new = {"key": [1, {"deep": None}], "number": 1.5}
    group = tree["resourceSpans"][0]
    scope = group["scopeSpans"][0]
    places = (
        tree,
        group,
        group["resource"],
        scope,
        scope["scope"],
        sent,
        sent["events"][0],
        sent["links"][0],
    )
    for place in (*places, sent["status"], sent["attributes"][0], value):
        place["someNewThing"] = new
    answer = post(target, tree)
    check(answer.ok and answer.rejected == 0, f"answered {answer}")
    (stored,) = target.stored(trace)
    check(
        stored.span.attributes[0].value.string_value == "conformance",
        "lost an attribute beside an unknown key",
    )


def test_item_41_lower_camel_case(target: Target) -> None:
    """CamelCase is read; snake_case is read or ignored, without failing."""
    trace, tree, (sent,) = tree_of(target)
    check(post(target, tree).ok, "refused lowerCamelCase")
    check(
        target.stored(trace)[0].span.start_time_unix_nano == int(sent["startTimeUnixNano"]),
        "lost the start time",
    )
    trace, tree, (sent,) = tree_of(target)
    sent["trace_state"] = "a=b"
    answer = post(target, tree)
    check(answer.ok, f"answered {answer} to snake_case")
    check(target.stored(trace)[0].span.trace_state in {"", "a=b"}, "misread snake_case")


def test_item_42_integers_as_string_or_number(target: Target) -> None:
    """Both spellings, to the last digit."""
    for spell in (str, int):
        trace, tree, (sent,) = tree_of(target)
        sent["startTimeUnixNano"] = spell(1790000000123456789)
        sent["attributes"] += [
            {"key": "n", "value": {"intValue": spell(n)}} for n in (2**63 - 1, -(2**63), 0)
        ]
        answer = post(target, tree)
        check(answer.ok and not answer.rejected, f"answered {answer} to {spell.__name__}")
        (stored,) = target.stored(trace)
        check(stored.span.start_time_unix_nano == 1790000000123456789, "lost digits of a time")
        got = [a.value.int_value for a in stored.span.attributes if a.key == "n"]
        check(got == [2**63 - 1, -(2**63), 0], f"read {got}")


def test_item_43_enums_as_integers(target: Target) -> None:
    """Known and unknown numbers are kept."""
    for kind, code in ((3, 2), (0, 0), (77, 9)):
        trace, tree, (sent,) = tree_of(target)
        sent["kind"], sent["status"] = kind, {"code": code}
        answer = post(target, tree)
        check(answer.ok and not answer.rejected, f"answered {answer} to kind {kind}")
        (stored,) = target.stored(trace)
        check(
            (stored.span.kind, stored.span.status.code) == (kind, code), f"made {stored.span.kind} of {kind}"
        )


def test_item_44_bytes_and_doubles(target: Target) -> None:
    """Base64 bytes; the doubles that JSON has no number for."""
    trace, tree, (sent,) = tree_of(target)
    sent["attributes"] += [{"key": "b", "value": {"bytesValue": base64.b64encode(b"\0\xff\xfe").decode()}}]
    sent["attributes"] += [
        {"key": "d", "value": {"doubleValue": d}} for d in ("NaN", "Infinity", "-Infinity", 1.5)
    ]
    answer = post(target, tree)
    check(answer.ok and not answer.rejected, f"answered {answer}")
    attributes = target.stored(trace)[0].span.attributes
    check([a.value.bytes_value for a in attributes if a.key == "b"] == [b"\0\xff\xfe"], "misread bytesValue")
    doubles = [a.value.double_value for a in attributes if a.key == "d"]
    check(
        len(doubles) == 4 and math.isnan(doubles[0]) and doubles[1:] == [math.inf, -math.inf, 1.5],
        f"read {doubles}",
    )


def test_item_45_null_is_absent(target: Target) -> None:
    """Every optional field null: the same span as without them."""
    trace, tree, (sent,) = tree_of(target)
    names = (
        "parentSpanId",
        "traceState",
        "events",
        "links",
        "status",
        "droppedAttributesCount",
        "flags",
        "kind",
    )
    sent.update(dict.fromkeys(names))
    tree["resourceSpans"][0]["schemaUrl"] = None
    answer = post(target, tree)
    check(answer.ok and not answer.rejected, f"answered {answer}")
    (stored,) = target.stored(trace)
    span = stored.span
    check(
        not (span.parent_span_id or span.trace_state or span.events or span.links or span.flags),
        "made up a value",
    )


def test_item_46_odd_json(target: Target) -> None:
    """Odd JSON is refused at once or read as meant; the server lives, NUL is a character."""
    trace, tree, (sent,) = tree_of(target)
    sent["name"] = "a\0b"
    good = json.dumps(tree).encode()
    check(post(target, tree).ok, "refused NUL in a string")
    check(target.stored(trace)[0].span.name == "a\0b", "lost a NUL")
    deep = '{"arrayValue":{"values":[' * 2000 + '{"intValue":1}' + "]}}" * 2000
    attributes = good.replace(
        b'"stringValue": "conformance"',
        b'"stringValue": "conformance"}}, {"key": "deep", "value": ' + deep.encode(),
        1,
    )
    attributes = attributes.replace(deep.encode() + b"}}", deep.encode() + b"}", 1)
    json.loads(good)
    lone = good.replace(b"a\\u0000b", b"a\\ud800b")
    assert lone != good
    twice = good.replace(b'"name": "a', b'"name": "x", "name": "a', 1)
    for what, body in (
        ("2,000 levels", attributes),
        ("a lone surrogate", lone),
        ("a repeated key", twice),
        ("not UTF-8", b"\xff" + good),
    ):
        answer = target.json.post(body)
        check(answer.code == "400", f"answered {answer} to {what}")
    bom = target.json.post(b"\xef\xbb\xbf" + good)
    check(bom.code in {"200", "400"}, f"answered {bom} to a byte order mark")
    check(target.alive(), "is dead")
