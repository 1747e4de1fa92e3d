"""Sweeps over the whole engine: the power, a failure or damage at every point there is."""

import pytest

pytest.register_assert_rewrite("tests.sweeps.workload")
