"""`docs/configuration.md` says what the program does: every key, its default."""

import json
import re
from collections.abc import Iterator

import msgspec
import pytest

from otel_ext.service import load_config
from otel_ext.service.fit import Duration, Named, seconds_as_text
from otel_ext.service.shape import FileShape
from tests.support import ROOT


def keys(shape: msgspec.Struct, path: str = "") -> Iterator[tuple[str, str]]:
    """`(key, default)` as the page has them."""
    for field in msgspec.structs.fields(shape):
        value = getattr(shape, field.name)
        where = f"{path}.{field.name}" if path else field.name
        if field.type is Named:
            yield from keys(shape.named[field.name](), f"{where}[/NAME]")  # type: ignore[attr-defined]
        elif where == "processors.signals":
            yield where, "{}"
        elif isinstance(value, msgspec.Struct):
            yield from keys(value, where)
        elif isinstance(value, Duration):
            yield where, seconds_as_text(value)
        else:
            yield where, value if isinstance(value, str) and value else json.dumps(value)


def test_every_key_and_its_default_are_documented() -> None:
    """The page's table is the shape, in its order."""
    page = (ROOT / "docs/configuration.md").read_text()
    assert re.findall(r"^\| `([^`]+)` \| `([^`]*)` \| \S", page, re.MULTILINE) == list(keys(FileShape()))


@pytest.mark.parametrize("page", ["costs.md", "forwarding.md", "signals.md"])
def test_what_a_page_shows_loads(page: str) -> None:
    """Every piece of configuration."""
    shown = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL)
    assert shown
    for text in shown:
        load_config(text, source=page)
