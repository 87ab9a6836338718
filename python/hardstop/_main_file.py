"""What a worker that imports the client's ``__main__`` from its file finds there."""

from __future__ import annotations

import ast
import inspect
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class MainFile:
    """The source of ``__main__``, as far as an import runs it: not what its guard keeps back.

    A function that was typed into an interpreter, or defined below the guard, is not there; of one
    that is defined twice only the last is.
    """

    def __init__(self, main: types.ModuleType) -> None:
        file = getattr(main, "__file__", None)
        # Without either, no __main__ is prepared for a worker.
        by_name = getattr(main, "__spec__", None) is not None
        self._is_imported = by_name or (file is not None and Path(file).exists())
        self._name = "" if file is None else Path(file).name
        try:
            tree = None if file is None else ast.parse(Path(file).read_bytes())
        except (OSError, SyntaxError, ValueError):
            tree = None  # an archive, an executable: taken to hold everything
        self._lines = None if tree is None else dict(_bindings(tree.body))

    def makes(self, value: Any) -> bool:
        """Whether an import makes this function or class, to the best of what the source tells."""
        if not self._is_imported:
            return False
        if self._lines is None:
            return True
        lines = self._lines.get(value.__qualname__.partition(".")[0])
        if lines is None:
            return False
        code = _code_of(value)
        return code is None or (
            Path(code.co_filename).name == self._name and code.co_firstlineno in lines
        )


_ANY_LINE = range(1 << 30)


def _bindings(body: list[ast.stmt]) -> Iterator[tuple[str, range]]:
    """Names bound at the top level, each with the lines of what it is bound to; the last counts."""
    for statement in body:
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            first = min(each.lineno for each in (statement, *statement.decorator_list))
            yield statement.name, range(first, (statement.end_lineno or first) + 1)
        elif isinstance(statement, ast.If) and _is_guard(statement.test):
            yield from _bindings(statement.orelse)
        else:
            for node in ast.walk(statement):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    yield node.id, _ANY_LINE
            for block in ("body", "orelse", "finalbody"):
                yield from _bindings(getattr(statement, block, []))
            for handler in getattr(statement, "handlers", []):
                yield from _bindings(handler.body)


def _is_guard(test: ast.expr) -> bool:
    return any(isinstance(node, ast.Name) and node.id == "__name__" for node in ast.walk(test))


def _code_of(value: Any) -> types.CodeType | None:
    """Where it was written; None if that cannot be told."""
    if isinstance(value, type):
        methods = (each for each in vars(value).values() if isinstance(each, types.FunctionType))
        # Not what dataclasses and their like have generated.
        codes = (each.__code__ for each in methods if each.__module__ == "__main__")
        return next((code for code in codes if code.co_filename != "<string>"), None)
    if isinstance(value, types.FunctionType) and inspect.unwrap(value) is value:
        return value.__code__
    return None
