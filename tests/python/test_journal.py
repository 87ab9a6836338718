"""Journals, crashes and outages: what a service leaves undone is known, and done later."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import hardstop
from hardstop import Message, NackedJob, Receipt, TakenJob
from service_jobs import fail, hold, note, notes
from support import script, until

CRASHING = """
    import os, sys
    import hardstop
    from service_jobs import *

    service = hardstop.Service(workers=1, prefetch=2, journal="journal", grace=60)
    for function in (hold, note):
        service.job(function)
    source = {source}
    sys.exit(service.run(source))
"""


def crashed(folder: Path, source: str) -> None:
    """A service that was killed while its first job ran, and others waited."""
    with script(CRASHING.format(source=source), folder, cwd=folder) as started:
        assert started.line().startswith("begun 1")
        journal_has(folder, 3)
        os.kill(started.pid, signal.SIGKILL)
        started.process.wait()
        started.all_gone()


def journal_has(folder: Path, count: int) -> None:
    """Looks into the file itself: it is in use."""
    import sqlite3

    def taken() -> bool:
        with sqlite3.connect(f"file:{folder / 'journal'}?mode=ro", uri=True) as rows:
            (table,) = (
                name
                for (name,) in rows.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
                if name in ("attempts", "jobs", "entries")
            )
            (found,) = rows.execute(f"SELECT count(*) FROM {table}").fetchone()
        return bool(found == count)

    until(taken, f"{count} jobs in the journal")


def finish(source: Any, folder: Path, **options: Any) -> hardstop.Service:
    service = hardstop.Service(
        workers=1, handle_signals=False, journal=folder / "journal", grace=20, **options
    )
    for function in (note, fail, hold):
        service.job(function)
    return service


def test_nothing_is_lost_by_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A leasing source: the next run tells it what the journal knows, and does the rest."""
    queue = hardstop.Queue(tmp_path / "jobs.db")
    queue.options(back_off=0.01).enqueue("hold", 1, "gate")
    for text in ("two", "three"):
        queue.enqueue("note", str(tmp_path / "n"), text)
    crashed(tmp_path, 'hardstop.Queue("jobs.db")')

    journal = hardstop.Journal(tmp_path / "journal")
    states = {entry.receipt.job: entry.state for entry in journal.unfinished()}
    assert states == {"1": "started", "2": "taken", "3": "taken"}
    (run,) = journal.runs()
    assert (run.run, run.status, run.ended_at) == (1, None, None)

    (tmp_path / "gate").touch()
    monkeypatch.chdir(tmp_path)
    service = finish(queue, tmp_path)

    def stop() -> None:
        until(lambda: queue.count("done") == 3)
        service.stop()

    threading.Thread(target=stop).start()
    assert service.run(queue) == 0
    assert notes(tmp_path / "n") == ["two", "three"]
    attempts = {job.id: job.attempts for job in queue.jobs("done")}
    assert attempts["1"] == 2  # the one that was killed counts
    assert journal.unfinished() == []
    assert [(each.run, each.status) for each in journal.runs()] == [(1, None), (2, 0)]


def test_a_journal_recovers_into_its_queue(tmp_path: Path) -> None:
    queue = hardstop.Queue(tmp_path / "jobs.db")
    for _ in range(3):
        queue.enqueue("hold", 1, "gate")
    crashed(tmp_path, 'hardstop.Queue("jobs.db")')
    journal = hardstop.Journal(tmp_path / "journal")
    done = journal.recover(queue)
    assert (done.failed, done.returned, done.acked, done.stale) == (1, 2, 0, 0)
    assert queue.count("queued") == 3
    assert journal.unfinished() == []
    assert len(journal.history(10)) == 3
    assert journal.recover(queue) == hardstop.JournalRecovery(0, 0, 0, 0, 0)


def test_what_an_iterable_lost_is_put_into_a_queue(tmp_path: Path) -> None:
    items = (
        '[("hold", 1, "gate"), ("note", "n", "two"), ("note", "n", "three"), ("note", "n", "4")]'
    )
    crashed(tmp_path, items)
    journal = hardstop.Journal(tmp_path / "journal")
    queue = hardstop.Queue(tmp_path / "jobs.db")
    assert [entry.leased for entry in journal.unfinished()] == [False] * 3
    assert journal.requeue(queue, max_attempts=2).requeued == 3
    found = queue.jobs(name="note")
    assert [job.max_attempts for job in found] == [2, 2]
    assert [job.max_attempts for job in queue.jobs(name="hold")] == [1]  # one was made
    assert found[0].message.decode() == Message("note", ("n", "two"))
    assert journal.unfinished() == []


def test_a_poisonous_job_stays_in_the_journal(tmp_path: Path) -> None:
    crashed(tmp_path, '[("hold", 1, "gate"), ("note", "n", "2"), ("note", "n", "3")]')
    journal = hardstop.Journal(tmp_path / "journal")
    queue = hardstop.Queue(tmp_path / "jobs.db")
    assert journal.requeue(queue, max_attempts=1).requeued == 2
    assert [entry.message.name for entry in journal.unfinished()] == ["hold"]


def test_a_journal_in_use_is_not_disturbed(tmp_path: Path) -> None:
    gate = str(tmp_path / "gate")
    service = finish(None, tmp_path)
    told: list[str] = []

    def look() -> None:
        until(lambda: service.stats().running == 1)
        try:
            hardstop.Journal(tmp_path / "journal", patience=0.01).unfinished()
        except hardstop.QueueError as error:
            told.append(str(error))
        Path(gate).touch()

    threading.Thread(target=look).start()
    assert service.run([("hold", 1, gate)]) == 0
    assert str(os.getpid()) in told[0]
    assert repr(hardstop.Journal("x")) == "<hardstop.Journal 'x'>"
    with pytest.raises(hardstop.QueueError):
        hardstop.Journal(tmp_path / "nowhere").runs()


def test_a_journal_that_cannot_be_made(tmp_path: Path) -> None:
    service = hardstop.Service(workers=1, handle_signals=False, journal=tmp_path / "no" / "journal")
    with pytest.raises(hardstop.QueueError):
        service.run([])


# --- a source that is out of reach


class Outage:
    """Gives its jobs, and from then on fails whatever it is asked."""

    def __init__(self, messages: Sequence[Message], leases: bool) -> None:
        self.jobs = [TakenJob(Receipt(f"j{n}"), each) for n, each in enumerate(messages)]
        self.leases = leases
        self.asked: list[str] = []

    def take(self, at_most: int, patience: float) -> list[TakenJob]:
        taken, self.jobs = self.jobs[:at_most], self.jobs[at_most:]
        if not taken:
            self._fail("take")
        return taken

    def _fail(self, what: str) -> None:
        self.asked.append(what)
        raise ConnectionError("out of reach")

    def extend(self, leases: Sequence[Receipt]) -> None:
        self._fail("extend")

    def ack(self, done: Sequence[Receipt]) -> None:
        self._fail("ack")

    def nack(self, jobs: Sequence[NackedJob]) -> None:
        self._fail("nack")

    def on_cancel(self, tell: Any) -> None:
        """Never cancels."""


@pytest.mark.parametrize(
    ("leases", "journal", "status"),
    [(True, False, 75), (True, True, 75), (False, True, 75), (False, False, 70)],
)
def test_a_drain_in_an_outage_ends_and_accounts_for_all(
    leases: bool, journal: bool, status: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """G9: a deadline kept some from being told. Every job is named: its lease brings it back, the
    journal has it, or it is said to be lost."""
    gate = str(tmp_path / "gate")
    jobs = [Message("note", (str(tmp_path / "n"), "done")), Message("hold", (1, gate))]
    source = Outage([*jobs, Message("note", (str(tmp_path / "n"), "waits"))], leases)
    service = hardstop.Service(
        workers=1,
        prefetch=2,
        handle_signals=False,
        grace=20,
        dispose_time=0.3,
        journal=tmp_path / "journal" if journal else None,
        dispose="automatic" if leases or journal else "run",
    )
    for function in (note, hold):
        service.job(function)

    def stop() -> None:
        until(lambda: service.stats().unsettled == 1 and service.stats().running == 1)
        service.stop()
        until(lambda: service.stats().phase == "drain")
        Path(gate).touch()

    threading.Thread(target=stop).start()
    assert service.run(source) == status
    told = [
        record.getMessage()
        for record in caplog.records
        if getattr(record, "hardstop", {}).get("event") in ("job_left", "job_lost")
    ]
    assert {"j0", "j1"} <= {text.split()[1].rstrip(":") for text in told}
    where = "the journal has it" if journal else "its lease runs out" if leases else "it is lost"
    assert all(where in text for text in told if "journal" not in text or journal)
    if journal:
        unfinished = {
            entry.receipt.job: entry.state
            for entry in hardstop.Journal(tmp_path / "journal").unfinished()
        }
        assert unfinished["j0"] == unfinished["j1"] == "ended"
        assert "j2" in unfinished
    assert "ack" in source.asked


def test_a_source_that_is_stuck_is_left(tmp_path: Path) -> None:
    """exit_if_stuck: the process ends with the status that is true, journal and all."""
    text = """
        import os, sys, threading
        import hardstop
        from service_jobs import *

        class Stuck:
            leases = True
            given = False
            def take(self, at_most, patience):
                if self.given:
                    say("stuck")
                    threading.Event().wait()
                self.given = True
                return [hardstop.TakenJob(hardstop.Receipt("j"), hardstop.Message("note", ("n", "x")))]
            def extend(self, leases): pass
            def ack(self, done): note("acked", done)
            def nack(self, jobs): pass
            def on_cancel(self, tell): pass

        service = hardstop.Service(workers=1, prefetch=0, journal="journal", grace=20,
                                   dispose_time=0.1, exit_if_stuck=True)
        service.job(note)
        service.run(Stuck())
        say("never")
    """
    with script(text, tmp_path, cwd=tmp_path) as started:
        assert started.line() == "stuck"
        until((tmp_path / "acked").exists)
        started.process.send_signal(signal.SIGTERM)
        code, out, _ = started.end()
    assert (code, out) == (0, "")
    (run,) = hardstop.Journal(tmp_path / "journal").runs()
    assert run.status == 0
    assert hardstop.Journal(tmp_path / "journal").unfinished() == []


def test_an_iterable_says_what_it_lost(tmp_path: Path) -> None:
    """Killed by the end of the drain, without a journal: named, and the status is the truth."""
    text = """
        import sys
        import hardstop
        from service_jobs import *
        service = hardstop.Service(workers=1, prefetch=2, grace=20, drain=0.05, dispose_time=1)
        for function in (hold, note):
            service.job(function)
        sys.exit(service.run([("hold", 1, "never"), ("note", "n", "2"), ("note", "n", "3")]))
    """
    with script(text, tmp_path, cwd=tmp_path) as started:
        assert started.line().startswith("begun 1")
        started.process.send_signal(signal.SIGTERM)
        code, _, _ = started.end()
    assert code == 70
    assert not (tmp_path / "n").exists()


def test_the_window_bounds_what_a_crash_leaves(tmp_path: Path) -> None:
    """Job k + window is not taken while job k is open."""
    gate = str(tmp_path / "gate")
    taken: list[int] = []

    def items() -> Any:
        for number in range(8):
            taken.append(number)
            yield ("hold", number, gate) if number == 0 else ("note", str(tmp_path / "n"), number)

    service = hardstop.Service(workers=2, prefetch=4, window=3, handle_signals=False)
    for function in (note, hold):
        service.job(function)
    seen: list[int] = []

    def look() -> None:
        until(lambda: service.stats().finished == 2)
        seen.append(len(taken))
        Path(gate).touch()

    threading.Thread(target=look).start()
    assert service.run(items()) == 0
    assert seen == [3]
    assert len(notes(tmp_path / "n")) == 7
