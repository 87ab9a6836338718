"""Queues: what goes in as data, comes out as data, and is looked into by nobody else."""

from __future__ import annotations

import datetime
import decimal
import json
import math
import multiprocessing
import os
import pickle
import sqlite3
import stat
import threading
import uuid
from pathlib import Path
from typing import Any

import pytest

import hardstop
from hardstop import EncodedMessage, Message
from service_jobs import fail, hold, note, notes
from support import run_script, until

KEY = b"k" * 32


@pytest.fixture
def queue(tmp_path: Path) -> hardstop.Queue:
    return hardstop.Queue(tmp_path / "jobs.db", durability="process")


def serve(source: Any, **options: Any) -> hardstop.Service:
    """A service in a thread, for as long as there are queued or leased jobs."""
    service = hardstop.Service(source, workers=1, handle_signals=False, grace=20, **options)
    for function in (note, fail, hold):
        service.job(function)
    return service


def run_until(service: hardstop.Service, done: Any) -> int:
    def stop() -> None:
        until(done)
        service.stop()

    thread = threading.Thread(target=stop)
    thread.start()
    try:
        return service.run()
    finally:
        thread.join()


# --- putting in, looking at, taking back


def test_jobs_are_data(queue: hardstop.Queue, tmp_path: Path) -> None:
    service = serve(queue)
    assert service
    first = queue.enqueue("note", "a", 1, None, [True, {"x": 0.5}])
    second = queue.enqueue(note, "b", words="keyword")
    all_of_them = queue.enqueue_all([("note", "c"), Message("note", ("d",), {"e": 1}), note, "f"])
    told = {job.id: job for job in queue.jobs()}
    assert list(told) == [first, second, *all_of_them]
    assert json.loads(told[first].message.arguments) == ["a", 1, None, [True, {"x": 0.5}]]
    assert json.loads(told[second].message.arguments) == {
        "args": ["b"],
        "kwargs": {"words": "keyword"},
    }
    assert told[second].message.decode() == Message("note", ("b",), {"words": "keyword"})
    job = told[first]
    assert (job.name, job.state, job.attempts, job.max_attempts) == ("note", "queued", 0, 3)
    assert job.enqueued_at.tzinfo is datetime.timezone.utc
    now = datetime.datetime.now(datetime.timezone.utc)
    assert abs(job.enqueued_at - now) < datetime.timedelta(minutes=1)
    assert queue.count("queued") == 6
    assert [each.id for each in queue.jobs(name="f")] == all_of_them[-1:]
    assert queue.find("17000") is None
    assert stat.S_IMODE(os.stat(queue.path).st_mode) == 0o600
    with pytest.raises(ValueError, match="state='lost': give 'queued'"):
        queue.jobs("lost")  # type: ignore[arg-type]


def test_options_of_a_view(queue: hardstop.Queue) -> None:
    later = queue.options(delay=3600, max_attempts=7)
    low = later.enqueue("a")
    high = later.options(priority=5, unique="key").enqueue("b")
    assert later.options(priority=5, unique="key").enqueue("c") == high
    found = {job.id: job for job in queue.jobs()}
    assert found.keys() == {low, high}
    assert (found[high].priority, found[high].unique, found[high].max_attempts) == (5, "key", 7)
    assert found[low].due_at - found[low].enqueued_at >= datetime.timedelta(seconds=3599)
    assert queue.cancel(high)
    assert not queue.cancel(high)
    assert queue.find(high).state == "cancelled"  # type: ignore[union-attr]
    other = later.options(unique="key").enqueue("d")
    assert other != high
    assert not queue.requeue(high)  # its key is the other's by now
    assert queue.cancel(other)
    assert queue.requeue(high)
    with pytest.raises(ValueError, match="max_attempts"):
        queue.options(max_attempts=0).enqueue("a")
    with pytest.raises(TypeError, match="unexpected keyword argument 'urgency'"):
        later.options(urgency=1)


def test_jobs_run_in_order_of_priority_and_retry(queue: hardstop.Queue, tmp_path: Path) -> None:
    path = str(tmp_path / "n")
    queue.enqueue("note", path, "second")
    queue.options(priority=1).enqueue("note", path, "first")
    queue.options(max_attempts=2, back_off=0.01).enqueue("fail", "again")
    service = serve(queue, prefetch=0)
    done = lambda: queue.count("done") == 2 and queue.count("dead") == 1  # noqa: E731
    assert run_until(service, done) == 0
    assert notes(path) == ["first", "second"]
    (dead,) = queue.jobs("dead")
    assert dead.attempts == 2
    assert "ValueError: again" in dead.reason


def test_a_running_job_is_cancelled_from_another_process(
    queue: hardstop.Queue, tmp_path: Path
) -> None:
    job = queue.enqueue("hold", 1, str(tmp_path / "never"))
    service = serve(queue)

    def cancel() -> bool:
        until(lambda: service.stats().running == 1)
        text = f"""
            import hardstop
            print(hardstop.Queue({queue.path!r}).cancel({job!r}))
        """
        assert run_script(text, tmp_path) == "True\n"
        return bool(until(lambda: queue.count("cancelled") == 1))

    assert run_until(service, cancel) == 0
    assert service.stats().cancelled == 1
    found = queue.find(job)
    assert found is not None
    assert found.state == "cancelled"


def test_a_queue_travels_to_workers(queue: hardstop.Queue, tmp_path: Path) -> None:
    """Forked, it opens the file anew; pickled, too."""
    for method in ("fork", "spawn"):
        context = multiprocessing.get_context(method)
        with hardstop.ProcessPoolExecutor(1, context) as pool:
            assert pool.submit(queue.enqueue, "note", method).result()
    assert [json.loads(job.message.arguments) for job in queue.jobs()] == [["fork"], ["spawn"]]
    with pytest.raises(TypeError, match="a queue with a key is not pickled"):
        pickle.dumps(hardstop.Queue(queue.path, key=KEY))


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(hardstop.QueueError):
        hardstop.Queue(tmp_path / "no" / "folder" / "jobs.db")
    (tmp_path / "text").write_text("this is no database, and long enough to be seen as none" * 20)
    with pytest.raises(hardstop.QueueError):
        hardstop.Queue(tmp_path / "text")
    with pytest.raises(ValueError, match="lease"):
        hardstop.Queue(tmp_path / "jobs.db", lease=-1)
    with pytest.raises(ValueError, match="durability='much': give 'power' or 'process'"):
        hardstop.Queue(tmp_path / "jobs.db", durability="much")  # type: ignore[arg-type]


# --- what JSON cannot say

UNSAYABLE: list[tuple[Any, str]] = [
    ({1, 2}, r"argument 1 of 'f': JSON cannot say builtins.set: send sorted\(…\)"),
    (datetime.datetime(2026, 1, 1), r"datetime.datetime: send its isoformat\(\)"),
    (decimal.Decimal(1), r"decimal.Decimal: send str\(…\)"),
    (uuid.UUID(int=1), r"uuid.UUID: send str\(…\)"),
    (b"bytes", "builtins.bytes: send its hex"),
    (1j, "builtins.complex: send what it can be made of again"),
    ({1: "a"}, "JSON has no key 1, a int: make it a string"),
    ([0, {"a": (1, {2})}], r"argument 1 of 'f', at \[1\], at \['a'\], at \[1\]: JSON cannot say"),
    (math.nan, "cannot be written: Out of range float"),
    ("\udc80", "cannot be written: 'utf-8' codec"),
]


@pytest.mark.parametrize(("value", "match"), UNSAYABLE, ids=repr)
def test_what_json_cannot_say_is_told_at_once(
    queue: hardstop.Queue, value: Any, match: str
) -> None:
    with pytest.raises(TypeError, match=match):
        queue.enqueue("f", value)
    assert queue.jobs() == []


def test_keywords_are_named(queue: hardstop.Queue) -> None:
    with pytest.raises(TypeError, match="argument 'when' of 'f': JSON cannot say"):
        queue.enqueue("f", 1, when=datetime.date(2026, 1, 1))
    with pytest.raises(ValueError, match=r"print\(\) is registered with no service here"):
        queue.enqueue(print)
    with pytest.raises(TypeError, match="3 is no job"):
        queue.enqueue(3)  # type: ignore[arg-type]


# --- other encodings


def test_messagepack(tmp_path: Path) -> None:
    pytest.importorskip("msgpack")
    queue = hardstop.Queue(tmp_path / "jobs.db", encoding="msgpack")
    path = str(tmp_path / "n")
    queue.enqueue("note", path, b"bytes")
    with pytest.raises(TypeError, match="MessagePack cannot say builtins.set"):
        queue.enqueue("note", {1})
    assert run_until(serve(queue), lambda: queue.count("done") == 1) == 0
    assert notes(path) == ["b'bytes'"]


def test_messagepack_that_is_not_there(tmp_path: Path) -> None:
    text = """
        import sys
        sys.modules["msgpack"] = None
        import hardstop
        try:
            hardstop.Queue("jobs.db", encoding="msgpack")
        except ImportError as error:
            print(error)
    """
    assert "pip install 'hardstop[msgpack]'" in run_script(text, tmp_path)


class Canary:
    """Leaves a file wherever it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return note, (self.path, "unpickled in", os.getpid())


def test_a_signed_pickle_says_everything(tmp_path: Path) -> None:
    queue = hardstop.Queue(tmp_path / "jobs.db", encoding="pickle", key=KEY)
    path = str(tmp_path / "n")
    queue.enqueue("note", path, {1}, datetime.date(2026, 1, 1))
    assert run_until(serve(queue), lambda: queue.count("done") == 1) == 0
    assert notes(path) == ["{1} 2026-01-01"]
    (job,) = queue.jobs("done")
    with pytest.raises(hardstop.MessageRefusedError, match="no key"):
        job.message.decode()


@pytest.mark.parametrize("key", [None, b"another key, also long enough"], ids=["none", "another"])
def test_a_pickle_of_a_stranger_is_never_looked_into(key: bytes | None, tmp_path: Path) -> None:
    """Refused with its reason, kept aside; neither the service nor a worker unpickled it."""
    canary = str(tmp_path / "canary")
    ours = hardstop.Queue(tmp_path / "jobs.db", encoding="pickle", key=KEY)
    ours.enqueue("note", Canary(canary))
    queue = hardstop.Queue(tmp_path / "jobs.db", key=key)
    service = serve(queue)
    assert run_until(service, lambda: queue.count("refused") == 1) == 0
    (job,) = queue.jobs("refused")
    assert ("no key" if key is None else "signature does not fit") in job.reason
    with pytest.raises(hardstop.MessageRefusedError):
        job.message.decode(key)
    assert not Path(canary).exists()
    job.message.decode(KEY)
    assert Path(canary).exists()  # it would have sung


def test_a_signature_is_of_one_name_and_one_pickle(tmp_path: Path) -> None:
    canary = str(tmp_path / "canary")
    queue = hardstop.Queue(tmp_path / "jobs.db", encoding="pickle", key=KEY)
    queue.enqueue("fail", Canary(canary))
    (job,) = queue.jobs()
    signed = job.message.arguments
    forged = [
        EncodedMessage("note", "pickle", signed),
        EncodedMessage("fail", "pickle", signed + b"."),
        EncodedMessage("fail", "pickle", bytes([signed[0] ^ 1]) + signed[1:]),
        EncodedMessage("fail", "pickle", signed[:20]),
        EncodedMessage("fail", "pickle", b""),
    ]
    service = serve(forged, key=KEY)
    assert service.run() == 0
    assert service.stats().refused == len(forged)
    assert not Path(canary).exists()


def test_pickle_needs_a_key(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    with pytest.raises(ValueError, match="encoding='pickle' needs a key"):
        hardstop.Queue(path, encoding="pickle")
    with pytest.raises(ValueError, match="a key of 5 bytes can be guessed"):
        hardstop.Queue(path, encoding="pickle", key=b"short")
    with pytest.raises(TypeError, match="give bytes"):
        hardstop.Queue(path, encoding="pickle", key="text" * 10)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="encoding='xml': give 'json'"):
        hardstop.Queue(path, encoding="xml")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="needs a key"):
        hardstop.Service(encoding="pickle", journal=tmp_path / "j")
    assert not path.exists()


def test_pickles_of_this_program_need_none(tmp_path: Path) -> None:
    """Without a journal they are in no file that somebody else could write."""
    path = str(tmp_path / "n")
    assert serve([("note", path, {1})], encoding="pickle").run() == 0
    assert notes(path) == ["{1}"]


# --- rows of strangers


def test_damaged_rows_are_kept_aside(queue: hardstop.Queue, tmp_path: Path) -> None:
    """Refused with their reason, never executed, never lost; the others run."""
    path = str(tmp_path / "n")
    for text in ("one", "two", "three", "four"):
        queue.enqueue("note", path, text)
    rows = sqlite3.connect(queue.path)
    columns = [row[1] for row in rows.execute("PRAGMA table_info(jobs)")]
    assert {"id", "name", "arguments"} <= set(columns), columns
    rows.execute("UPDATE jobs SET arguments = ? WHERE id = 1", (b"[1, ",))
    rows.execute("UPDATE jobs SET arguments = ? WHERE id = 2", (b'{"args": 3}',))
    rows.execute("UPDATE jobs SET name = 'os.system' WHERE id = 3")
    rows.commit()
    rows.close()
    done = lambda: queue.count("done") + queue.count("refused") == 4  # noqa: E731
    assert run_until(serve(queue), done) == 0
    assert notes(path) == ["four"]
    reasons = {job.id: job.reason for job in queue.jobs("refused")}
    assert reasons.keys() == {"1", "2", "3"}
    assert "no job is named 'os.system' here" in reasons["3"]
    assert all(reasons.values())


# --- in this process


def test_a_queue_in_memory(tmp_path: Path) -> None:
    path = str(tmp_path / "n")
    queue = hardstop.MemoryQueue(max_attempts=2)
    service = serve(queue)
    queue.enqueue(note, path, "one")
    failing = queue.enqueue("fail", "always")
    cancelled = queue.enqueue("note", path, "never")
    assert len(queue) == 3
    assert queue.cancel(cancelled)
    assert not queue.cancel("17000")
    queue.close()
    with pytest.raises(hardstop.QueueError):
        queue.enqueue("note", path)
    assert service.run() == 0
    assert notes(path) == ["one"]
    assert len(queue) == 0
    given_up = {job.receipt.job: job for job in queue.abandoned()}
    assert given_up[failing].reason == "failed"
    assert "ValueError: always" in given_up[failing].text
    assert given_up[cancelled].reason == "cancelled"
