"""Semantic Kernel (Python): semantic_kernel/utils/telemetry.

Law of this file: read as the semantic conventions; the reason why a model stopped is singular here.
"""

from typing import Final

from otel_ext.conventions.dialects.flavours import flavour

DIALECT: Final = flavour(
    "semantic_kernel",
    "Semantic Kernel",
    "microsoft/semantic-kernel, python/semantic_kernel/utils/telemetry",
    "scope `semantic_kernel.*`",
    lambda span: span.scope.startswith("semantic_kernel"),
    within=("semantic_kernel",),
)
