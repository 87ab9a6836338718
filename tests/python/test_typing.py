"""What type checkers say of programs that use the package."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent / "typing" / "golden.py"
FOUND = re.compile(r"golden\.py:(\d+): error: ", re.MULTILINE)


def test_a_users_program_is_typed() -> None:
    api = pytest.importorskip("mypy.api")
    lines = GOLDEN.read_text().splitlines()
    wanted = {number for number, line in enumerate(lines, 1) if line.endswith("# error")}
    report, trouble, _status = api.run(
        ["--strict", "--no-incremental", "--python-executable", sys.executable, str(GOLDEN)]
    )
    assert not trouble
    assert set(map(int, FOUND.findall(report))) == wanted, report
