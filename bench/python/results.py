"""What was measured so far: figures of every cell, contestant and round; kept between runs."""

from __future__ import annotations

import json
import math
from pathlib import Path
from statistics import median
from typing import Any


class Results:
    def __init__(self, path: Path, keep: bool) -> None:
        self._path = path
        self.machine: dict[str, str] = {}
        # cell -> contestant -> {"rounds": [figures], "trouble": why a round has none}
        self._cells: dict[str, dict[str, dict[str, Any]]] = {}
        if keep and path.is_file():
            told = json.loads(path.read_text())
            self._cells = told["cells"]

    def begin(self, cell: str) -> None:
        """Forgets what an earlier run has measured of it."""
        self._cells[cell] = {}

    def add(self, cell: str, contestant: str, told: dict[str, Any]) -> None:
        of = self._cells.setdefault(cell, {}).setdefault(contestant, {"rounds": [], "trouble": ""})
        if "figures" in told:
            of["rounds"].append({name: _to_json(value) for name, value in told["figures"].items()})
        else:
            of["trouble"] = next(iter(told.values())) or "no such thing"

    def figure(self, cell: str, contestant: str, name: str) -> list[float]:
        """Of each round, sorted; empty if there is none. Infinite: it never came to that."""
        of = self._cells.get(cell, {}).get(contestant, {"rounds": []})
        return sorted(_from_json(each[name]) for each in of["rounds"] if name in each)

    def middle(self, cell: str, contestant: str, name: str) -> float | None:
        values = self.figure(cell, contestant, name)
        return median(values) if values else None

    def trouble(self, cell: str, contestant: str) -> str:
        return str(self._cells.get(cell, {}).get(contestant, {}).get("trouble", ""))

    def names(self, cell: str) -> list[str]:
        """The figures that anybody has."""
        found: dict[str, None] = {}
        for of in self._cells.get(cell, {}).values():
            for each in of["rounds"]:
                found.update(dict.fromkeys(each))
        return list(found)

    def contestants(self, cell: str) -> list[str]:
        return list(self._cells.get(cell, {}))

    def write(self, table: list[dict[str, Any]]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        everything = {"machine": self.machine, "table": table, "cells": self._cells}
        self._path.write_text(json.dumps(everything, indent=1, allow_nan=False) + "\n")


def _to_json(value: float) -> float | str:
    return "never" if math.isinf(value) else value


def _from_json(value: float | str) -> float:
    return math.inf if value == "never" else float(value)
