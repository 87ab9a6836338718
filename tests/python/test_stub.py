"""The stub of the extension says what is there. (stubtest does not know nanobind's functions.)"""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any

import pytest

import hardstop
from hardstop import _engine

STUB = ast.parse(Path(hardstop.__file__).with_name("_engine.pyi").read_text())
CLASSES = [node for node in STUB.body if isinstance(node, ast.ClassDef)]


def declared(body: list[ast.stmt]) -> dict[str, ast.stmt]:
    """What a module or a class of the stub has, by name."""
    found: dict[str, ast.stmt] = {}
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[node.name] = node
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found[node.target.id] = node
    return found


# Typed where it is used: Executor's overloads would be hidden by it.
UNTYPED = {"Submitter": {"submit"}}


def existing(owner: Any) -> set[str]:
    """What it has of its own, but for what every module and class has."""
    usual = {"__doc__", "__file__", "__loader__", "__module__", "__name__", "__package__"}
    usual |= {"__spec__", "__new__"}
    return {name for name in vars(owner) if name not in usual}


def parameters(function: Any) -> int | None:
    """How many, where that is known."""
    signature = getattr(function, "__nb_signature__", None)
    if signature is None:
        return None
    # Such as "def shut_down(self, cancel_pending: bool, timeout: float | None) -> None".
    tree = ast.parse(f"{signature[0][0]}: ...").body[0]
    assert isinstance(tree, ast.FunctionDef)
    return len(tree.args.posonlyargs) + len(tree.args.args)


def check_functions(owner: Any, names: dict[str, ast.stmt]) -> None:
    for name, node in names.items():
        count = parameters(inspect.getattr_static(owner, name))
        if isinstance(node, ast.FunctionDef) and count is not None:
            assert len(node.args.posonlyargs) + len(node.args.args) == count, name


def test_the_stub_names_what_the_module_has() -> None:
    names = declared(STUB.body)
    assert set(names) == existing(_engine)
    check_functions(_engine, names)


@pytest.mark.parametrize("node", CLASSES, ids=lambda node: node.name)
def test_the_stub_names_what_a_class_has(node: ast.ClassDef) -> None:
    owner = getattr(_engine, node.name)
    names = declared(node.body)
    assert set(names) | UNTYPED.get(node.name, set()) == existing(owner)
    check_functions(owner, names)
