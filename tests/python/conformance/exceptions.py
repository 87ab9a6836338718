"""The tests of CPython that hardstop does not pass, and why it should not."""

from __future__ import annotations

# By the test's name, for every start method and version.
EXCEPTIONS: dict[str, str] = {
    "test_killed_child": (
        "demands that the pool is broken for good when one worker is killed from outside. Here a"
        " job that had begun there fails with WorkerDiedError, which is a BrokenProcessPool, one"
        " that had not runs elsewhere, and the pool lives on"
    ),
    "test_python_finalization_error": (
        "lets the second thread that Python starts for a pool fail, and demands a broken pool. Here"
        " a pool starts no Python threads, so that nothing fails"
    ),
}
