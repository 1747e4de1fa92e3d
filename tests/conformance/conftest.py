"""Targets for the tests, and the record of what came of each item."""

import os
import re
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.items import EXCUSED
from tests.conformance.results import PUBLISHING, RESULTS, Result, published
from tests.conformance.targets import NAMES, Target, Tree, collector_version, running
from tests.conformance.wire import Deviation, Shortfall, Unseen

_ITEM = re.compile(r"test_item_(\d+)_")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, None]:
    """Record an item's result; that the Collector or an excused item deviates is one, and no failure."""
    outcome = yield
    report = outcome.get_result()
    named = _ITEM.match(item.name)
    if named is None or report.when != "call" or report.skipped:
        return
    number, target = int(named[1]), _target(item)
    error = call.excinfo.value if call.excinfo is not None else None
    if isinstance(error, Deviation):
        words = {Shortfall: "partly", Unseen: "not seen"}
        result = Result(words.get(type(error), "fail"), str(error))
        if target == "collector" or number in EXCUSED:
            report.outcome, report.wasxfail = "skipped", str(error)
    elif report.passed:
        result = Result("pass", "")
        if target == "otel_ext" and number in EXCUSED:
            report.outcome, report.longrepr = "failed", f"item {number} passes: it needs no excuse any more"
    else:
        return  # a defect of the test
    RESULTS[number, target] = result
    if target == "collector" and PUBLISHING not in os.environ:
        version, known = published()
        if version == collector_version() and known.get(number, result).outcome != result.outcome:
            report.outcome = "failed"
            report.longrepr = f"published: {known[number]}, now: {result}; run `python -m tests.conformance`"


def _target(item: pytest.Item) -> str:
    callspec = getattr(item, "callspec", None)
    return str(callspec.params.get("target_name", "otel_ext")) if callspec is not None else "otel_ext"


@pytest.fixture(scope="session", params=NAMES)
def target_name(request: pytest.FixtureRequest) -> str:
    """Which of the two is tested."""
    return str(request.param)


@pytest.fixture(scope="session")
def target(target_name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A server with defaults that all tests share."""
    with running(target_name, tmp_path_factory.mktemp("conformance") / target_name) as made:
        yield made


Start = Callable[[Tree, Tree], Target]


@pytest.fixture
def start(target_name: str, tmp_path: Path) -> Iterator[Start]:
    """Starts a server with a configuration of its own: `start(ours, theirs)`."""
    with ExitStack() as stack:
        count = iter(range(99))

        def begin(ours: Tree, theirs: Tree) -> Target:
            made: AbstractContextManager[Target] = running(
                target_name, tmp_path / str(next(count)), ours, theirs
            )
            return stack.enter_context(made)

        yield begin
