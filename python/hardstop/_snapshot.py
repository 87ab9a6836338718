"""What a pool's workers have of the client's ``__main__`` and modules."""

from __future__ import annotations

import sys
from typing import Any

from ._pickling import is_importable


class Snapshot:
    """Tells whether a worker finds the very same function or class under its name.

    Workers of a forked guardian have what the client had at the fork; executed ones import modules
    anew, and ``__main__`` from its file. What was defined or redefined later travels by value.
    """

    def __init__(self) -> None:
        self._main: dict[str, Any] | None = None
        self._main_is_there = True

    def take(self, *, main_is_there: bool = True) -> None:
        """A guardian is about to be born."""
        self._main = dict(sys.modules["__main__"].__dict__)
        self._main_is_there = main_is_there

    def holds(self, value: Any) -> bool:
        module_name = getattr(value, "__module__", None)
        qualname = getattr(value, "__qualname__", None)
        if not isinstance(module_name, str) or not isinstance(qualname, str):
            return False
        if module_name == "__main__":
            return self._main_holds(value, qualname)
        module = sys.modules.get(module_name)
        return is_importable(module) and _found(vars(module), qualname) is value

    def _main_holds(self, value: Any, qualname: str) -> bool:
        if self._main is None:  # no guardian yet: it will have what there is now
            return _found(vars(sys.modules["__main__"]), qualname) is value
        return self._main_is_there and _found(self._main, qualname) is value


def _found(names: dict[str, Any], qualname: str) -> Any:
    first, *rest = qualname.split(".")
    found = names.get(first)
    for name in rest:
        found = getattr(found, name, None)
    return found
