"""Services: jobs from a source, phases, signals; each as a program of its own."""

from __future__ import annotations

from pathlib import Path

from support import run_script

BATCH = """
    import os
    import hardstop

    def say(*words):
        os.write(1, (" ".join(map(str, words)) + "\\n").encode())  # whole lines, from each process

    service = hardstop.Service(workers=2, grace=20)

    @service.job
    def double(number):
        say("job", 2 * number)

    @service.on("drain")
    def drain():
        say("drain")

    if __name__ == "__main__":
        status = service.run({source})
        say("status", status)
"""


def lines_of(out: str, word: str) -> list[str]:
    return sorted(line.partition(" ")[2] for line in out.splitlines() if line.startswith(word))


def test_a_service_runs_all_of_an_iterable_drains_and_ends(tmp_path: Path) -> None:
    """G9: an end of its source is the end of the service, and its status is 0."""
    for source in (
        '[("double", n) for n in range(5)]',
        "((double, n) for n in range(5))",
        "(hardstop.message(double, number=n) for n in range(5))",
    ):
        out = run_script(BATCH.format(source=source), tmp_path)
        assert lines_of(out, "job") == ["0", "2", "4", "6", "8"]
        assert out.splitlines()[-2:] == ["drain", "status 0"]
