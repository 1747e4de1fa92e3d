"""The compiled helper's place, taken by Python."""

from collections.abc import Iterator

import pytest

from otel_ext.otlp import native


@pytest.fixture(scope="module", params=["compiled", "python"])
def vouching(request: pytest.FixtureRequest) -> Iterator[None]:
    """Requests are vouched for by the compiled helper first, or by Python alone."""
    if request.param == "compiled" and native._voucher is None:
        pytest.skip("the helper is not compiled, or not wanted")
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "python":
            patch.setattr(native, "_voucher", None)
        yield
