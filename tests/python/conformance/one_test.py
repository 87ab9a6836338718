"""Within the test environment: lists CPython's tests of process pools, or runs one of them.

one_test.py list <file>          writes [[test id, start method], ...] as JSON
one_test.py run <test id> <file> writes {"status": ..., "detail": ...} as JSON
"""

from __future__ import annotations

import json
import sys
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SUITE = "test.test_concurrent_futures"
START_METHODS = ("fork", "forkserver", "spawn")


def cases(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    for each in suite:
        if isinstance(each, unittest.TestSuite):
            yield from cases(each)
        else:
            yield each


def start_method(case: unittest.TestCase) -> str | None:
    """What the test starts its pool with; None if no process pool is its subject."""
    method = getattr(case, "ctx", None)
    if method is None:  # one that runs the tests of other classes says it in its name
        method = case.id().rpartition(".test_")[2]
    return method if method in START_METHODS else None


def check_subject(case: unittest.TestCase) -> None:
    """Nothing would be shown if it were the standard library's executor that passes."""
    subject = getattr(case, "executor_type", None)
    if subject is not None and subject.__module__.partition(".")[0] != "hardstop":
        raise SystemExit(f"{case.id()} would test {subject!r}")


def listed() -> list[tuple[str, str]]:
    found = []
    for case in cases(unittest.defaultTestLoader.loadTestsFromName(SUITE)):
        if type(case).__name__ == "_FailedTest":
            raise SystemExit(f"{SUITE} cannot be loaded: {case}")
        method = start_method(case)
        if method is not None:
            check_subject(case)
            found.append((case.id(), method))
    return found


def run(test: str) -> dict[str, Any]:
    from test import support

    support.environment_altered = False
    suite = unittest.defaultTestLoader.loadTestsFromName(test)
    result = unittest.TextTestRunner(stream=sys.stderr, verbosity=2).run(suite)
    if not result.wasSuccessful():
        broken = [*result.failures, *result.errors]
        return {"status": "failed", "detail": "\n".join(text for _, text in broken)}
    if result.skipped:
        return {"status": "skipped", "detail": result.skipped[0][1]}
    if result.testsRun != 1:
        return {"status": "failed", "detail": f"{result.testsRun} tests ran"}
    if support.environment_altered:
        return {"status": "failed", "detail": "it left threads or processes behind; see its output"}
    return {"status": "passed", "detail": ""}


def main() -> None:
    what, *names, report = sys.argv[1:]
    answer = listed() if what == "list" else run(*names)
    Path(report).write_text(json.dumps(answer))


if __name__ == "__main__":
    main()
