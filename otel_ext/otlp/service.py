"""The service that sent a request, without reading the request.

Law of this file: it is a label by which senders share what there is, found where SDKs and Collectors put it
(a request's first resource, within its first bytes); a request without it, or one that hides it, sends as "".
"""

import re
from typing import Final

_KEY: Final = b"\x0a\x0cservice.name\x12"
"""An attribute up to its value: field 1 of a KeyValue, its text, and the tag of field 2."""
_WHERE: Final = 16_384
"""Bytes that are searched."""


_JSON: Final = re.compile(
    rb'"key"\s*:\s*"service\.name"\s*,\s*"value"\s*:\s*\{\s*"stringValue"\s*:\s*"([^"\\]{1,123})"'
)


def service_name(body: bytes) -> str:
    """`service.name` of an export request's first resource that has one, in either encoding; else ""."""
    at = body.find(_KEY, 0, _WHERE)
    if at < 0:
        found = _JSON.search(body, 0, _WHERE)
        return found[1].decode("utf-8", "replace") if found else ""
    # length of the AnyValue | tag of its string_value | length of the text; names over 123 bytes are cut off.
    value = body[at + len(_KEY) : at + len(_KEY) + 128]
    if len(value) < 3 or value[1] != 0x0A or value[2] > 123:
        return ""
    return value[3 : 3 + value[2]].decode("utf-8", "replace")
