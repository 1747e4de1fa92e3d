"""Runs the suite against both targets and writes `docs/otlp-conformance.md` and `docs/bad-input.md`.

python -m tests.conformance            # needs a Collector, see targets.collector
python -m tests.conformance --write    # only writes, from what is stored of the Collector
"""

import os
import sys

import pytest

from tests.conformance import bad_input
from tests.conformance.items import ITEMS
from tests.conformance.results import DOCUMENT, PUBLISHING, RESULTS, document, publish
from tests.conformance.targets import collector_version


def main() -> int:
    """Run, store, write."""
    if "--write" not in sys.argv:
        version = collector_version()
        if version is None:
            print("no Collector: set OTELCOL_BIN or run .ci/collector; --write only writes", file=sys.stderr)
            return 2
        os.environ[PUBLISHING] = "1"
        code = pytest.main(
            ["-n", "0", "-q", "tests/conformance", "--deselect", "tests/conformance/test_published.py"]
        )
        found = {number: RESULTS[number, "collector"] for number in ITEMS if (number, "collector") in RESULTS}
        publish(version, found)
        if code:
            return int(code)
    DOCUMENT.write_text(document())
    bad_input.DOCUMENT.write_text(bad_input.document())
    return 0


sys.exit(main())
