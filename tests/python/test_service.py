"""Services: where jobs come from, what becomes of them, and how phases go on."""

from __future__ import annotations

import asyncio
import logging
import re
import signal
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import hardstop
from hardstop import Message, NackedJob, Receipt, TakenJob
from service_jobs import fail, hold, note, notes, refuse, temporary
from support import METHODS, run_script, script, until


def make(workers: int = 2, **options: Any) -> hardstop.Service:
    """A service with the jobs that these tests use, which leaves signals alone."""
    service = hardstop.Service(workers=workers, handle_signals=False, grace=20, **options)
    for function in (note, fail, hold, refuse, temporary):
        service.job(function)
    return service


def reasons(caplog: pytest.LogCaptureFixture, event: str) -> list[str]:
    """What the log says of events of one kind."""
    return [
        record.getMessage()
        for record in caplog.records
        if getattr(record, "hardstop", {}).get("event") == event
    ]


@pytest.fixture(autouse=True)
def _log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "hardstop.service")


# --- iterables


def jobs_as(kind: str, path: str) -> Iterable[Any]:
    texts = ["one", "two", "three", "four", "five"]
    return {
        "tuples": [(note, path, text) for text in texts],
        "names": [("note", path, text) for text in texts],
        "messages": (hardstop.message(note, path, text) for text in texts),
        "generator": ((note, path, text) for text in texts),
        "deep": iter([Message("note", (path, text)) for text in texts]),
    }[kind]


@pytest.mark.parametrize("kind", ["tuples", "names", "messages", "generator", "deep"])
def test_all_of_an_iterable_is_run(kind: str, tmp_path: Path) -> None:
    """G9: the end of its source is the end of the service, and its status is 0."""
    path = str(tmp_path / "notes")
    service = make()
    assert service.run(jobs_as(kind, path)) == 0
    assert sorted(notes(path)) == sorted(["one", "two", "three", "four", "five"])
    assert service.stats().finished == service.stats().taken == 5
    assert service.stats().phase == "over"


@pytest.mark.parametrize("method", METHODS)
def test_functions_of_a_program_with_each_start_method(method: str, tmp_path: Path) -> None:
    text = f"""
        import multiprocessing, hardstop
        from service_jobs import say
        context = multiprocessing.get_context({method!r})
        service = hardstop.Service(workers=1, mp_context=context)
        @service.job
        def own(number): say("own", number)
        if __name__ == "__main__":
            @service.job(name="guarded")
            def below(number): say("below", number)
            service.job(name="closure")(lambda number, more=service.ready(): say("closure", number, more))
            status = service.run([("own", 1), ("guarded", 2), ("closure", 3)])
            say("status", status)
    """
    out = run_script(text, tmp_path).splitlines()
    assert out == ["own 1", "below 2", "closure 3 False", "status 0"]


def test_what_was_sent_that_makes_no_sense_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def unknown() -> None:
        """Registered nowhere."""

    service = make()
    sent: list[Any] = [
        ("nobody", 1),
        (unknown,),
        (note, {1, 2}),
        (note,),
        hardstop.message(note, "p", unknown="word"),
        (refuse, "by the job itself"),
        3.5,
    ]
    assert service.run(sent) == 0
    assert service.stats().refused == len(sent)
    why = "\n".join(reasons(caplog, "job_refused"))
    assert "no job is named 'nobody' here; registered are: note, fail" in why
    assert "unknown() is registered with no service here: put @service.job in front" in why
    assert "argument 1 of 'note': JSON cannot say builtins.set: send sorted(…)" in why
    assert "the arguments do not fit note(path: 'str', *words: 'object')" in why
    assert "got an unexpected keyword argument 'unknown'" in why
    assert "hardstop.MessageRefusedError: by the job itself" in why
    assert "3.5 is no job" in why


def test_failures_are_told_and_logged_with_their_traceback(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    service = make()
    assert service.run([(fail, "seven"), (note, str(tmp_path / "n"), "fine")]) == 0
    assert (service.stats().failed, service.stats().finished) == (1, 1)
    (told,) = [record for record in caplog.records if "ValueError: seven" in record.getMessage()]
    fields = told.hardstop  # type: ignore[attr-defined]
    assert fields == {"event": "job_failed", "job": "1", "name": "fail", "attempt": "1"}
    assert told.levelno == logging.WARNING
    # The traceback is in the worker's log.
    text = """
        import hardstop, logging
        from service_jobs import fail
        logging.basicConfig()
        service = hardstop.Service(workers=1)
        service.job(fail)
        assert service.run([("fail", "eight")]) == 0
    """
    with script(text, tmp_path) as started:
        code, _, err = started.end()
    assert code == 0
    assert "in fail\n    raise ValueError(text)\nValueError: eight" in err


def test_an_iterable_that_fails_fails_the_service(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> Iterator[Any]:
        yield "note", "/dev/null", "before"
        raise OSError("the source is gone")

    service = make()
    assert service.run(broken()) == 70
    assert service.stats().finished == 1
    assert "OSError: the source is gone" in "\n".join(reasons(caplog, "source_failed"))


def test_a_next_that_blocks_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """The drain waits for it no longer than for disposing; what comes later is told to be lost."""
    asked, late = threading.Event(), threading.Event()

    def endless() -> Iterator[Any]:
        yield "note", str(tmp_path / "n"), "first"
        asked.set()
        late.wait()
        yield "note", str(tmp_path / "n"), "too late"

    service = make(dispose_time=0.2)
    threading.Thread(target=lambda: (asked.wait(), service.stop())).start()
    assert service.run(endless()) == 0
    assert not late.is_set()
    assert notes(tmp_path / "n") == ["first"]
    late.set()


@pytest.mark.parametrize("journal", [True, False], ids=["journal", "none"])
def test_an_item_that_comes_too_late_to_be_run(
    journal: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """When all else is drained: the journal has it, or it is named, and the status is the truth."""
    asked, late = threading.Event(), threading.Event()

    def slow() -> Iterator[Any]:
        asked.set()
        late.wait()
        yield "note", str(tmp_path / "n"), "late"

    service = make(journal=tmp_path / "journal" if journal else None)

    def stop() -> None:
        asked.wait()
        service.stop()
        until(lambda: service.stats().phase == "dispose")
        late.set()

    threading.Thread(target=stop).start()
    assert service.run(slow()) == (0 if journal else 70)
    assert service.stats().taken == 1
    if journal:
        assert [each.state for each in hardstop.Journal(tmp_path / "journal").unfinished()] == [
            "left"
        ]
    else:
        assert "job 1 ('note') was taken and will not run" in "".join(reasons(caplog, "job_lost"))
    assert notes(tmp_path / "n") == []


# --- async iterators


class Ticker:
    """An async iterator that says what becomes of it."""

    def __init__(self, path: str, count: int) -> None:
        self.path, self.count = path, count
        self.seen: list[str] = []
        self.waiting = threading.Event()

    async def items(self) -> AsyncIterator[Any]:
        try:
            for number in range(self.count):
                await asyncio.sleep(0)
                yield note, self.path, number
            self.waiting.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.seen.append("cancelled")
            raise
        finally:
            self.seen.append("closed")


def test_an_async_iterator_under_run(tmp_path: Path) -> None:
    ticker = Ticker(str(tmp_path / "n"), 5)
    service = make()
    threading.Thread(
        target=lambda: (
            ticker.waiting.wait(),
            until(lambda: service.stats().finished == 5),
            service.stop(),
        )
    ).start()
    assert service.run(ticker.items()) == 0
    assert sorted(notes(ticker.path)) == ["0", "1", "2", "3", "4"]
    assert ticker.seen == ["cancelled", "closed"]


def test_an_async_iterator_under_serve(tmp_path: Path) -> None:
    """Cancelled in the drain, closed when all is over; one that is not waited for, too."""
    ticker = Ticker(str(tmp_path / "n"), 5)
    service = make()

    async def main(items: AsyncIterator[Any]) -> int:
        serving = asyncio.ensure_future(service.serve(items))
        while service.stats().finished != 5:
            await asyncio.sleep(0.001)
        service.stop()
        return await serving

    assert asyncio.run(main(ticker.items())) == 0
    assert ticker.seen == ["cancelled", "closed"]

    closed: list[str] = []

    async def abandoned() -> AsyncIterator[Any]:
        try:
            while True:
                yield hold, 1, str(tmp_path / "gate")
        finally:
            closed.append("closed")

    service = make(1, prefetch=0)

    async def full() -> int:
        serving = asyncio.ensure_future(service.serve(abandoned()))
        while service.stats().running != 1:
            await asyncio.sleep(0.001)
        service.stop()
        Path(tmp_path, "gate").touch()
        return await serving

    assert asyncio.run(full()) == 0
    assert closed == ["closed"]


def test_an_async_iterator_ends_and_fails(tmp_path: Path) -> None:
    async def finite() -> AsyncIterator[Any]:
        yield note, str(tmp_path / "n"), "only"

    async def broken() -> AsyncIterator[Any]:
        yield note, str(tmp_path / "n"), "before"
        raise OSError("gone")

    assert make().run(finite()) == 0
    assert make().run(broken()) == 70
    assert notes(tmp_path / "n") == ["only", "before"]


class Stubborn:
    """An async iterator that does not let itself be cancelled."""

    def __aiter__(self) -> Stubborn:
        return self

    async def __anext__(self) -> Any:
        while True:
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                if self.enough.is_set():
                    raise

    enough = threading.Event()


def test_an_iterator_that_cannot_be_cancelled_is_left() -> None:
    service = make(dispose_time=0.1)
    threading.Thread(target=lambda: (until(service.ready), service.stop())).start()
    assert service.run(Stubborn()) == 0


# --- serve()


def test_serving_leaves_the_loop_alone(tmp_path: Path) -> None:
    """Its iterator and its hooks run in the loop, which turns meanwhile."""
    gate = str(tmp_path / "gate")
    seen: list[str] = []
    service = make(1)

    @service.on("drain")
    async def drain() -> None:
        await asyncio.sleep(0)
        seen.append("drain in " + threading.current_thread().name)

    async def items() -> AsyncIterator[Any]:
        seen.append("items in " + threading.current_thread().name)
        yield hold, 1, gate

    async def main() -> int:
        serving = asyncio.ensure_future(service.serve(items()))
        while service.stats().running != 1:
            await asyncio.sleep(0.001)
        Path(gate).touch()
        return await serving

    assert asyncio.run(main()) == 0
    assert seen == ["items in MainThread", "drain in MainThread"]
    assert service.stats().finished == 1


def test_cancelling_serve_drains(tmp_path: Path) -> None:
    """The task ends when the service has: what runs finishes, what waits is handed back."""
    gate = str(tmp_path / "gate")
    queue = hardstop.Queue(tmp_path / "jobs.db")
    service = make(1, prefetch=1)
    for number in range(2):
        queue.enqueue(hold, number, gate)

    async def main() -> None:
        serving = asyncio.ensure_future(service.serve(queue))
        while service.stats().running != 1 or service.stats().waiting != 1:
            await asyncio.sleep(0.001)
        serving.cancel()
        while service.stats().phase != "drain":
            await asyncio.sleep(0.001)
        assert not serving.done()
        Path(gate).touch()
        with pytest.raises(asyncio.CancelledError):
            await serving

    asyncio.run(main())
    assert service.stats().phase == "over"
    assert (service.stats().finished, service.stats().returned) == (1, 1)
    assert queue.count("queued") == 1


def test_cancelling_serve_again_hurries(tmp_path: Path) -> None:
    queue = hardstop.Queue(tmp_path / "jobs.db")
    queue.enqueue(hold, 1, str(tmp_path / "never"))
    service = make(1)

    async def main() -> None:
        serving = asyncio.ensure_future(service.serve(queue))
        while service.stats().running != 1:
            await asyncio.sleep(0.001)
        for _ in range(3):
            serving.cancel()
            await asyncio.sleep(0.01)
        with pytest.raises(asyncio.CancelledError):
            await serving

    asyncio.run(main())
    assert service.stats().killed == 1


def test_signals_under_serve(tmp_path: Path) -> None:
    text = """
        import asyncio, signal, hardstop
        from service_jobs import hold, say
        service = hardstop.Service(workers=1)
        service.job(hold)
        before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
        async def main():
            return await service.serve([("hold", 1, "gate")])
        say("status", asyncio.run(main()))
        say(before == (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)))
    """
    with script(text, tmp_path, cwd=tmp_path) as started:
        assert started.line().startswith("begun 1")
        started.process.send_signal(signal.SIGUSR1)
        assert started.process.stderr is not None
        until(lambda: "1 running" in (started.process.stderr.readline() or ""))
        started.process.send_signal(signal.SIGTERM)
        until(lambda: "drain" in said_so_far(started))
        Path(tmp_path, "gate").touch()
        code, out, _ = started.end()
    assert code == 0
    assert out.splitlines() == ["ended 1", "status 0", "True"]


def said_so_far(started: Any) -> str:
    started.process.send_signal(signal.SIGUSR1)
    return str(started.process.stderr.readline())


# --- sources written in Python


class Listed:
    """A leasing source in memory, which keeps what it is told."""

    leases = True

    def __init__(self, messages: Sequence[Message]) -> None:
        self.jobs = [TakenJob(Receipt(f"j{n}"), each) for n, each in enumerate(messages)]
        self.acked: list[Receipt] = []
        self.nacked: list[NackedJob] = []
        self.tell: Callable[[Receipt], None] | None = None
        self.interrupted = threading.Event()
        self.until_empty = True

    def take(self, at_most: int, patience: float) -> list[TakenJob] | None:
        if not self.jobs:
            if self.until_empty:
                return None
            self.interrupted.wait(patience)
            return []
        taken, self.jobs = self.jobs[:at_most], self.jobs[at_most:]
        return taken

    def interrupt(self) -> None:
        self.interrupted.set()

    def extend(self, leases: Sequence[Receipt]) -> None:
        """Never lost."""

    def ack(self, done: Sequence[Receipt]) -> list[Receipt]:
        self.acked.extend(done)
        return []

    def nack(self, jobs: Sequence[NackedJob]) -> None:
        self.nacked.extend(jobs)

    def on_cancel(self, tell: Callable[[Receipt], None] | None) -> None:
        self.tell = tell

    def describe(self) -> str:
        return "a list"


def test_a_source_of_the_programs_own(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source: hardstop.Source = (
        listed := Listed(
            [
                Message("note", (str(tmp_path / "n"), "one")),
                Message("fail", ("no",)),
                Message("nobody"),
            ]
        )
    )
    assert make().run(source) == 0
    assert listed.acked == [Receipt("j0")]
    assert {(job.receipt.job, job.reason) for job in listed.nacked} == {
        ("j1", "failed"),
        ("j2", "refused"),
    }
    assert "ValueError: no" in next(job.text for job in listed.nacked if job.reason == "failed")
    assert listed.tell is None  # the service is over
    assert reasons(caplog, "ready") == ["ready: taking jobs from a list"]


def test_a_source_may_have_a_job_cancelled(tmp_path: Path) -> None:
    listed = Listed([Message("hold", (1, str(tmp_path / "never")))])
    listed.until_empty = False
    service = make()

    def cancel() -> None:
        until(lambda: service.stats().running == 1)
        tell = listed.tell
        assert tell is not None
        tell(Receipt("j0", 7))  # another attempt
        tell(Receipt("j0"))
        until(lambda: service.stats().cancelled == 1)
        service.stop()
        until(lambda: service.stats().phase == "over")
        tell(Receipt("j0"))  # nobody listens any more

    thread = threading.Thread(target=cancel)
    thread.start()
    assert service.run(listed) == 0
    thread.join()
    assert [(job.receipt.job, job.reason) for job in listed.nacked] == [("j0", "cancelled")]
    assert listed.interrupted.is_set()


def test_what_is_no_source_is_told() -> None:
    for wrong in ("text", 7, object()):
        with pytest.raises(TypeError, match="is no source: give a Queue, an iterable"):
            make().run(wrong)  # type: ignore[arg-type]


# --- what was taken and not started


def left_behind(dispose: str, path: Path, **options: Any) -> tuple[hardstop.Service, Iterator[Any]]:
    """One job holds the only worker, one waits behind it; then the service is told to stop."""
    gate = str(path / "gate")
    service = make(1, prefetch=1, dispose=dispose, **options)

    def stop() -> None:
        until(lambda: service.stats().running == 1 and service.stats().waiting == 1)
        service.stop()
        until(lambda: service.stats().phase == "drain")
        Path(gate).touch()

    threading.Thread(target=stop).start()
    return service, iter([(hold, 1, gate), (note, str(path / "n"), "waited")])


def test_raise_tells_which_jobs_are_left(tmp_path: Path) -> None:
    service, jobs = left_behind("raise", tmp_path)
    with pytest.raises(hardstop.JobsLeftError, match="1 jobs were taken and not started") as left:
        service.run(jobs)
    (job,) = left.value.jobs
    assert job.receipt == Receipt("2")
    assert job.message.decode() == Message("note", (str(tmp_path / "n"), "waited"))  # type: ignore[union-attr]
    assert service.stats().finished == 1


def test_callback_is_given_each_job(tmp_path: Path) -> None:
    service, jobs = left_behind("callback", tmp_path)
    given: list[TakenJob] = []
    service.on("dispose_job")(given.append)
    assert service.run(jobs) == 0
    assert [job.message.name for job in given] == ["note"]
    assert notes(tmp_path / "n") == []


def test_run_runs_them_too(tmp_path: Path) -> None:
    service, jobs = left_behind("run", tmp_path)
    assert service.run(jobs) == 0
    assert notes(tmp_path / "n") == ["waited"]


def test_journal_keeps_them_and_is_what_automatic_means(tmp_path: Path) -> None:
    for dispose in ("journal", "automatic"):
        folder = tmp_path / dispose
        folder.mkdir()
        service, jobs = left_behind(dispose, folder, journal=folder / "j")
        assert service.run(jobs) == 0
        (entry,) = hardstop.Journal(folder / "j").unfinished()
        assert (entry.state, entry.message.name) == ("left", "note")
        assert notes(folder / "n") == []


# --- hooks


def test_hooks_are_called_in_order(tmp_path: Path) -> None:
    """G9: one way through all phases; what setup has made is there in the workers."""
    text = """
        import hardstop, threading
        from service_jobs import say
        service = hardstop.Service(workers=1)
        made = []
        @service.job
        def job(): say("job", made)
        for phase in ("shutdown", "dispose", "drain", "accept", "setup"):
            service.on(phase)(lambda phase=phase: say(phase, threading.current_thread().name))
        service.on("setup")(lambda: made.append("in setup"))
        say(service.run([("job",)]))
    """
    assert run_script(text, tmp_path).splitlines() == [
        "setup MainThread",
        "accept MainThread",
        "job ['in setup']",
        "drain MainThread",
        "dispose MainThread",
        "shutdown MainThread",
        "0",
    ]


@pytest.mark.parametrize("phase", ["setup", "accept", "drain", "dispose", "shutdown"])
def test_a_hook_that_raises_fails_the_service(phase: str, caplog: pytest.LogCaptureFixture) -> None:
    service = make()

    @service.on(phase)  # type: ignore[arg-type]
    def broken() -> None:
        raise RuntimeError("it is broken")

    assert service.run([]) == 70
    told = "\n".join(reasons(caplog, "service_failed"))
    assert told == f"the hook of {phase} failed: RuntimeError: it is broken"
    (record,) = [
        each for each in caplog.records if each.getMessage() == f"the hook of {phase} raised"
    ]
    assert record.exc_info is not None


def test_a_coroutine_needs_a_loop(caplog: pytest.LogCaptureFixture) -> None:
    service = make()

    @service.on("drain")
    async def drain() -> None:
        """Never awaited."""

    assert service.run([]) == 70
    assert "it needs the loop of serve()" in "\n".join(reasons(caplog, "service_failed"))


# --- wrong use


def test_a_function_that_cannot_travel_is_told_before_anything_is_taken(
    caplog: pytest.LogCaptureFixture,
) -> None:
    service = make()
    lock = threading.Lock()
    service.job(name="locked")(lambda: lock.acquire())
    assert service.run([("note", "/dev/null", "never")]) == 70
    assert service.stats().taken == 0
    told = "".join(reasons(caplog, "service_failed"))
    assert "the function of job 'locked' cannot be sent to workers" in told


def test_wrong_use_is_told(tmp_path: Path) -> None:
    service = make()
    with pytest.raises(ValueError, match="a job named 'note' is registered already"):
        service.job(note)
    with pytest.raises(ValueError, match="name is empty"):
        service.job(name="")(note)
    with pytest.raises(TypeError, match="is no function"):
        service.job(3)  # type: ignore[call-overload]

    async def coroutine() -> None:
        """No worker could run it."""

    with pytest.raises(TypeError, match="a worker has no event loop"):
        service.job(coroutine)
    with pytest.raises(ValueError, match="there is no phase 'end'"):
        service.on("end")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no source"):
        service.run()
    assert service.run([]) == 0
    with pytest.raises(ValueError, match="has run already"):
        service.run([])
    for options, match in (
        ({"dispose": "sometimes"}, "dispose='sometimes': give 'automatic'"),
        ({"dispose": "callback"}, "needs hooks.dispose_job"),
        ({"dispose": "journal"}, "needs a journal"),
        ({"dispose": "requeue"}, "needs a source that takes jobs back"),
        ({"drain": 100}, "take longer than the grace of 20 s"),
        ({"dispose_time": -1}, "negative"),
        ({"grace": "soon"}, "cast"),
    ):
        with pytest.raises((ValueError, TypeError, RuntimeError), match=match):
            hardstop.Service(workers=1, handle_signals=False, **{"grace": 20, **options}).run([])  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        hardstop.Service(wokers=1)
    with pytest.raises(ValueError, match="max_workers"):
        hardstop.Service(workers=0)


def test_signals_are_for_the_main_thread() -> None:
    told: list[BaseException] = []

    def run() -> None:
        try:
            hardstop.Service(workers=1).run([])
        except ValueError as error:
            told.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert "handle_signals=False" in str(told[0])

    async def in_loop() -> None:
        with pytest.raises(RuntimeError, match="await service.serve"):
            hardstop.Service(workers=1).run([])

    asyncio.run(in_loop())


def test_a_stop_that_comes_early_counts() -> None:
    service = make()
    service.stop()
    assert service.run(iter(lambda: ("note", "/dev/null", "never"), None)) == 0
    assert service.stats().taken == 0


# --- what it tells of itself

SAMPLE = re.compile(r'(\w+)\{(\w+="(?:[^"\\]|\\.)*"(?:,\w+="(?:[^"\\]|\\.)*")*)\} (\S+)')


def parsed(text: str) -> dict[tuple[str, str], float]:
    """Prometheus' text format 0.0.4, as far as it is used here; fails for anything else."""
    kinds: dict[str, str] = {}
    samples: dict[tuple[str, str], float] = {}
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            continue
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert kind in ("gauge", "counter")
            assert name not in kinds
            kinds[name] = kind
            continue
        found = SAMPLE.fullmatch(line)
        assert found, line
        name, labels, value = found.groups()
        assert name in kinds
        assert (name, labels) not in samples
        samples[name, labels] = float(value)
    assert all(name.endswith("_total") for name, kind in kinds.items() if kind == "counter")
    return samples


def test_numbers_and_words(tmp_path: Path) -> None:
    gate = str(tmp_path / "gate")
    service = make(1, prefetch=1, name='a "name"')
    assert not service.ready()
    assert service.metrics() == ""
    assert "has not begun" in service.describe()
    seen: list[Any] = []

    def look() -> None:
        until(lambda: "in process" in service.describe() and service.stats().waiting == 1)
        seen.append((service.ready(), service.stats(), service.metrics(), service.describe()))
        Path(gate).touch()

    threading.Thread(target=look).start()
    assert service.run([(hold, 1, gate), (note, str(tmp_path / "n"), "x")]) == 0
    ((ready, stats, metrics, words),) = seen
    assert ready
    assert (stats.phase, stats.running, stats.waiting, stats.taken) == ("accept", 1, 1, 2)
    numbers = parsed(metrics)
    label = r'service="a \"name\""'
    assert numbers["hardstop_service_ready", label] == 1
    assert numbers["hardstop_service_jobs", f'{label},state="running"'] == 1
    assert numbers["hardstop_service_phase", f'{label},phase="accept"'] == 1
    assert numbers["hardstop_service_taken_total", label] == 2
    assert numbers["hardstop_service_workers", label] == 1
    assert re.search(r"1 running, 1 waiting", words)
    assert re.search(r"1 hold, attempt 1: running for .* in process \d+", words)
    after = parsed(service.metrics())
    assert after["hardstop_service_ended_total", f'{label},end="finished"'] == 2
    assert not service.ready()


def test_the_log_is_structured(caplog: pytest.LogCaptureFixture) -> None:
    assert make().run([("note", "/dev/null", "x")]) == 0
    told = Counter(record.hardstop["event"] for record in caplog.records)  # type: ignore[attr-defined]
    assert told["phase"] == 6
    assert told["ready"] == told["over"] == 1
    phases = [r.hardstop["phase"] for r in caplog.records if r.hardstop["event"] == "phase"]  # type: ignore[attr-defined]
    assert phases == ["setup", "accept", "drain", "dispose", "shutdown", "over"]


def test_workers_are_not_forked_in_the_middle_of_a_log_record(tmp_path: Path) -> None:
    """They would find the stream's lock taken, for ever."""
    text = """
        import io, logging, multiprocessing, os, sys, threading, time
        import hardstop
        from service_jobs import *

        forking, writing = threading.Event(), threading.Event()

        class Slow(io.RawIOBase):
            def writable(self): return True
            def write(self, data):
                writing.set()
                time.sleep(0.1)  # the stream is locked meanwhile, and the GIL is not
                return len(data)

        def late(record):
            forking.wait(10)
            return True

        def before():
            forking.set()
            writing.wait(10)

        sys.stderr = io.TextIOWrapper(io.BufferedWriter(Slow()), line_buffering=True)
        logging.basicConfig(level=logging.INFO)
        logging.getLogger("hardstop.service").addFilter(late)
        context = multiprocessing.get_context("fork")
        service = hardstop.Service(workers=1, mp_context=context, start_timeout=5)
        os.register_at_fork(before=before)  # the last is called first

        @service.job
        def writes():
            sys.stderr.write("something\\n")
            say("written")

        say("status", service.run([("writes",)]))
    """
    assert run_script(text, tmp_path).split() == ["written", "status", "0"]


def test_each_attempt_has_a_temporary_directory(tmp_path: Path) -> None:
    path = str(tmp_path / "n")
    assert make(1, private_tmpdir=True).run([(temporary, path), (temporary, path)]) == 0
    told = [line.split() for line in notes(path)]
    assert all(variable == directory for variable, directory in told)
    assert len({variable for variable, _ in told}) == 2
    until(lambda: not any(Path(variable).exists() for variable, _ in told))


def test_options_of_a_job(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    service = hardstop.Service(workers=1, handle_signals=False)
    service.job(name="impatient", timeout=0.05)(hold)
    assert service.run([("impatient", 1, str(tmp_path / "never"))]) == 0
    assert service.stats().failed == 1
    assert "exceeded its time limit" in "\n".join(
        reasons(caplog, "job_failed")
    ) or "limit" in "\n".join(reasons(caplog, "job_failed"))


def test_two_names_for_one_function(tmp_path: Path) -> None:
    def twice() -> None:
        """Which one is meant?"""

    service = make()
    service.job(name="a")(twice)
    service.job(name="b")(twice)
    with pytest.raises(ValueError, match=r"twice\(\) is registered as a, b: give the name"):
        hardstop.message(twice)
