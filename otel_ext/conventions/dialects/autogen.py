"""AutoGen core: autogen_core/_telemetry.

Law of this file: read as the semantic conventions; its core tells no arguments, and messaging is structure.
"""

from typing import Final

from otel_ext.conventions.dialects.flavours import flavour

DIALECT: Final = flavour(
    "autogen",
    "AutoGen core",
    "microsoft/autogen, autogen_core/_telemetry",
    "`gen_ai.system` = `autogen`",
    lambda span: span.attributes.get("gen_ai.system") == "autogen",
    marks=frozenset({"gen_ai.system"}),
)
