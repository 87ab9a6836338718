"""Puts hardstop where concurrent.futures has its pool, in all interpreters of one environment.

A .pth file of that environment imports this module when the interpreter starts, because nothing
else reaches the interpreters that CPython's tests start with -I. Nothing is imported before it is
asked for: an interpreter that uses no pool starts as fast as any other.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Sequence
from typing import Any

_PLACE = "concurrent.futures.process"
_NAME = "ProcessPoolExecutor"


def _ours(name: str) -> Any:
    if name != _NAME:
        raise AttributeError(f"module {_PLACE!r} has no attribute {name!r}")
    import hardstop

    return hardstop.ProcessPoolExecutor


class _Loader(importlib.abc.Loader):
    """Loads the standard module and leaves a door where its executor was."""

    def __init__(self, standard: importlib.abc.Loader) -> None:
        self._standard = standard

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType | None:
        return self._standard.create_module(spec)

    def exec_module(self, module: types.ModuleType) -> None:
        self._standard.exec_module(module)
        delattr(module, _NAME)
        module.__getattr__ = _ours  # type: ignore[method-assign]


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: types.ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != _PLACE:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


if not any(isinstance(each, _Finder) for each in sys.meta_path):
    sys.meta_path.insert(0, _Finder())
