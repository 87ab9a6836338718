"""What a pool's workers have of the client's ``__main__`` and modules."""

from __future__ import annotations

import contextlib
import sys
import weakref
from collections.abc import Callable
from typing import Any

from ._main_file import MainFile
from ._pickling import is_importable


class Snapshot:
    """Tells whether a worker finds the very same function or class under its name.

    Workers of a forked guardian have what the client had at the fork; executed ones import modules
    anew, and ``__main__`` from its file. What was defined or redefined later travels by value.

    Holds nothing alive: what is in ``__main__`` may refer to the pool.
    """

    def __init__(self, *, executed: bool) -> None:
        """``executed``: workers are not forked from the client but import its ``__main__``."""
        self._executed = executed
        self._main: dict[str, weakref.ref[Any]] | None = None
        self._main_file: MainFile | None = None

    def take(self) -> None:
        """A guardian is about to be born."""
        self._main = {}
        for name, value in list(vars(sys.modules["__main__"]).items()):
            with contextlib.suppress(TypeError):  # what cannot be referred to is no function
                self._main[name] = weakref.ref(value)

    def holds(self, value: Any) -> bool:
        """Whether ``value``, a function or a class, needs no copy."""
        module_name = getattr(value, "__module__", None)
        qualname = getattr(value, "__qualname__", None)
        if not isinstance(module_name, str) or not isinstance(qualname, str):
            return False
        if module_name == "__main__":
            return _found(self._name_in_main, qualname) is value and self._is_imported(value)
        module = sys.modules.get(module_name)
        return is_importable(module) and _found(vars(module).get, qualname) is value

    def _is_imported(self, value: Any) -> bool:
        if not self._executed:
            return True
        if self._main_file is None:
            self._main_file = MainFile(sys.modules["__main__"])
        return self._main_file.makes(value)

    def _name_in_main(self, name: str) -> Any:
        if self._main is None:  # no guardian yet: it will have what there is now
            return vars(sys.modules["__main__"]).get(name)
        found = self._main.get(name)
        return None if found is None else found()


def _found(get: Callable[[str], Any], qualname: str) -> Any:
    first, *rest = qualname.split(".")
    found = get(first)
    for name in rest:
        found = getattr(found, name, None)
    return found
