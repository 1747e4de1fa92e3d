"""The build's step that compiles what is written in C; nothing at run time imports it.

Law of this file: a build never fails for want of a compiler. Modules are compiled beside their sources, as an
editable install needs it, and anew only when those are newer; one build serves CPython 3.11 and all later
(the limited API). Without a compiler, on another Python, or with `OTEL_EXT_PURE=1` the wheel is the pure one.
"""

import os
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_HERE = "otel_ext/otlp/native"
_SOURCES = ("read", "vouch")
_OPTIONS = ["-O3", "-g0"]


class Hook(BuildHookInterface[Any]):
    """Hatch's hook: adds the compiled modules to the wheel and names the wheel for its platform."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and say in one line if that was not to be."""
        folder = Path(self.root, _HERE)
        modules = [folder / f"_{name}.abi3.so" for name in _SOURCES]
        reason = _unwanted() or max(
            _compile(folder / f"{name}.c", module) for name, module in zip(_SOURCES, modules, strict=True)
        )
        if reason:
            self.app.display_warning(f"otel-ext: without its compiled helper, only slower: {reason}")
            return
        if version != "editable":
            build_data["force_include"] |= {str(module): f"{_HERE}/{module.name}" for module in modules}
            build_data["pure_python"] = False
            build_data["tag"] = f"cp311-abi3-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"


def _unwanted() -> str:
    """Why nothing is to be compiled; "" when it is."""
    if os.environ.get("OTEL_EXT_PURE", "") not in {"", "0"}:
        return "OTEL_EXT_PURE is set"
    if sys.implementation.name != "cpython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "this Python has no limited API"
    return ""


def _compile(source: Path, module: Path) -> str:
    """Why `module` could not be made of `source`; "" when it is there."""
    if module.exists() and module.stat().st_mtime_ns > source.stat().st_mtime_ns:
        return ""
    # What an older source made must not be found by an editable install.
    module.unlink(missing_ok=True)
    try:
        from setuptools import Distribution, Extension  # noqa: PLC0415 - needs not be there to build purely
        from setuptools.command.build_ext import build_ext  # noqa: PLC0415

        extension = Extension(
            f"otel_ext.otlp.native._{source.stem}",
            [str(source)],
            py_limited_api=True,
            extra_compile_args=_OPTIONS,
        )
        command = build_ext(Distribution({"ext_modules": [extension]}))
        with tempfile.TemporaryDirectory() as folder:
            command.build_temp, command.build_lib, command.force = folder, folder, True
            command.ensure_finalized()
            command.run()
            made = Path(command.get_ext_fullpath(extension.name))
            # Beside its place first: whoever imports it now keeps the whole old one.
            fresh = module.with_suffix(".new")
            fresh.write_bytes(made.read_bytes())
            fresh.replace(module)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - setuptools raises several kinds for a missing compiler
        return str(error) or type(error).__name__
    return ""
