"""Signals to a service: they start its drain, and nobody's code ever sees them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import hardstop
from support import Script, gone, run_script, script, status_of, until

SERVICE = """
    import os, signal, sys, threading, time
    import hardstop
    from service_jobs import *

    queue = hardstop.Queue("jobs.db")
    service = hardstop.Service(queue, workers=1, prefetch=1, grace=60{options})
    for function in (hold, note, signal_itself):
        service.job(function)
"""


@contextlib.contextmanager
def running(folder: Path, options: str = "", before: str = "", after: str = "") -> Iterator[Script]:
    """A service whose only worker holds job 1, with job 2 waiting behind it."""
    queue = hardstop.Queue(folder / "jobs.db")
    for number in (1, 2):
        queue.enqueue("hold", number, "gate")
    text = SERVICE.format(options=options) + before
    text += "\n    status = service.run()\n    say('status', status)" + after
    text += "\n    sys.exit(status)\n"
    with script(text, folder, cwd=folder) as started:
        assert started.line().startswith("begun 1")
        until(lambda: queue.count("leased") == 2)
        yield started


def ended(started: Script) -> tuple[int, list[str]]:
    code, out, err = started.end()
    assert "Traceback" not in err, err
    return code, out.splitlines()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_drains(number: signal.Signals, tmp_path: Path) -> None:
    """G9: what runs finishes, what waits is handed back at once, the status is 0."""
    queue = hardstop.Queue(tmp_path / "jobs.db")
    with running(tmp_path) as started:
        started.process.send_signal(number)
        until(lambda: queue.count("queued") == 1)
        (tmp_path / "gate").touch()
        assert ended(started) == (0, ["ended 1", "status 0"])
    assert [job.attempts for job in queue.jobs("queued")] == [0]
    assert queue.count("done") == 1


def test_the_second_hurries_and_accounts(tmp_path: Path) -> None:
    queue = hardstop.Queue(tmp_path / "jobs.db")
    with running(tmp_path, options=", hurried_drain=0.05") as started:
        started.process.send_signal(signal.SIGTERM)
        until(lambda: queue.count("queued") == 1)
        started.process.send_signal(signal.SIGTERM)
        assert ended(started) == (75, ["status 75"])
    assert {job.id for job in queue.jobs("queued")} == {"1", "2"}
    (killed,) = [job for job in queue.jobs() if job.attempts == 1 and job.reason]
    assert killed.reason == "killed when the service's time to drain was over"


def test_the_third_kills(tmp_path: Path) -> None:
    queue = hardstop.Queue(tmp_path / "jobs.db")
    with running(tmp_path, options=", hurried_drain=50") as started:
        started.process.send_signal(signal.SIGINT)
        until(lambda: queue.count("queued") == 1)
        started.process.send_signal(signal.SIGTERM)
        started.process.send_signal(signal.SIGINT)
        started.process.send_signal(signal.SIGTERM)
        assert ended(started) == (75, ["status 75"])
    assert queue.count("queued") == 2


def test_sigterm_while_a_c_call_holds_the_gil(tmp_path: Path) -> None:
    """The drain starts at once, waiting jobs are handed back, and further signals kill: nothing of
    it needs the GIL. Seen from here, through the queue's file and the job's process."""
    queue = hardstop.Queue(tmp_path / "jobs.db")
    hog = """
    import ctypes
    def hog():
        wait_for("hog")
        note("began", "x")
        ctypes.PyDLL(None).sleep(20)  # PyDLL: with the GIL, as a long call into C may
        note("over", "x")
    threading.Thread(target=hog, daemon=True).start()
    """
    with running(tmp_path, before=hog) as started:
        worker = next(
            pid for pid in started.others() if status_of(pid)["Name"] == "hardstop-worker"
        )
        (tmp_path / "hog").touch()
        until((tmp_path / "began").exists)
        started.process.send_signal(signal.SIGTERM)
        until(lambda: queue.count("queued") == 1)
        started.process.send_signal(signal.SIGTERM)
        started.process.send_signal(signal.SIGTERM)
        gone(worker)
        until(lambda: queue.count("queued") == 2)
        assert not (tmp_path / "over").exists()
        started.process.kill()


def test_no_code_sees_any_of_200_signals(tmp_path: Path) -> None:
    """Jobs, hooks, the source, what is logged: all run on."""
    text = """
        import logging, os, signal, sys, threading, time
        import hardstop
        from service_jobs import *

        def calls(where):
            note("begun", where)
            try:
                end = time.monotonic() + 0.05
                while time.monotonic() < end or (where == "job" and not os.path.exists("stormed")):
                    time.sleep(0.001)
                    sum(range(100))
            except BaseException as seen:
                note("seen", where, repr(seen))
                raise

        service = hardstop.Service(workers=2, grace=60, hurried_drain=50, handle_signals=True)
        service.job(calls)
        for phase in ("setup", "accept", "drain", "dispose", "shutdown"):
            service.on(phase)(lambda phase=phase: calls(phase))

        class Source:
            leases = True
            left = 2
            def take(self, at_most, patience):
                calls("take")
                self.left -= 1
                if self.left < 0:
                    return []
                return [hardstop.TakenJob(hardstop.Receipt(str(self.left)), hardstop.Message("calls", ("job",)))]
            def extend(self, leases): calls("extend")
            def ack(self, done): calls("ack")
            def nack(self, jobs): calls("nack")
            def on_cancel(self, tell): calls("on_cancel")

        class Handler(logging.Handler):
            def emit(self, record): calls("log")
        logging.getLogger("hardstop.service").addHandler(Handler())
        logging.getLogger("hardstop.service").setLevel(logging.INFO)

        say("pid", os.getpid())
        status = service.run(Source())
        say("status", status)
        time.sleep(0.01)  # what were pending would be seen now
    """
    with script(text, tmp_path, cwd=tmp_path) as started:
        assert started.line().startswith("pid")
        until(lambda: "job" in begun(tmp_path))
        for count in range(200):
            # One stop: a third would kill the job. Handlers of Python's run for each of them.
            started.process.send_signal(signal.SIGINT if count == 20 else signal.SIGUSR1)
        (tmp_path / "stormed").touch()
        code, out, _ = started.end()
    assert out.split()[:2] == ["status", str(code)]
    assert code in (0, 75)
    assert not (tmp_path / "seen").exists()
    assert {"setup", "on_cancel", "log", "shutdown"} <= set(begun(tmp_path))


def begun(folder: Path) -> list[str]:
    file = folder / "begun"
    return file.read_text().split() if file.exists() else []


def test_stops_in_a_storm_of_terms_are_no_exceptions(tmp_path: Path) -> None:
    """200 times SIGTERM and SIGINT, in every phase after setup: killed and accounted for, no more."""
    queue = hardstop.Queue(tmp_path / "jobs.db")
    hooks = """
    def slowly(phase):
        try:
            note("phases", phase)
            end = time.monotonic() + 0.05
            while time.monotonic() < end:
                sum(range(100))
        except BaseException as seen:
            note("seen", phase, repr(seen))
            raise
    for phase in ("drain", "dispose", "shutdown"):
        service.on(phase)(lambda phase=phase: slowly(phase))
    """
    with running(tmp_path, before=hooks) as started:
        over = threading.Event()

        def storm() -> None:
            for count in range(200):
                with contextlib.suppress(ProcessLookupError):
                    started.process.send_signal((signal.SIGTERM, signal.SIGINT)[count % 2])
                over.wait(0.0005)

        # The former handlers are harmless, too: the storm may outlast the service.
        thread = threading.Thread(target=storm)
        thread.start()
        code, _, _ = started.end()
        thread.join()
    assert not (tmp_path / "seen").exists()
    assert (tmp_path / "phases").read_text().split() == ["drain", "dispose", "shutdown"]
    # After run() has returned signals do what they did before it.
    assert code in (75, -signal.SIGTERM, -signal.SIGINT, 1)
    assert queue.count("queued") == 2


def test_handlers_are_put_back(tmp_path: Path) -> None:
    """And what came in the last moment is no KeyboardInterrupt afterwards."""
    text = """
        import os, signal, socket
        import hardstop
        from service_jobs import *
        def mine(*_): say("mine")
        signal.signal(signal.SIGTERM, mine)
        a, b = socket.socketpair()
        b.setblocking(False)
        signal.set_wakeup_fd(b.fileno())
        before = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)]
        service = hardstop.Service(workers=1)
        @service.on("shutdown")
        def last():
            for _ in range(50):
                os.kill(os.getpid(), signal.SIGINT)
                os.kill(os.getpid(), signal.SIGTERM)
        assert service.run([]) == 0
        for _ in range(1000): pass
        after = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)]
        say(before == after, signal.set_wakeup_fd(-1) == b.fileno())
        os.kill(os.getpid(), signal.SIGTERM)
        try:
            os.kill(os.getpid(), signal.SIGINT)
            for _ in range(1000): pass
            say("nothing")
        except KeyboardInterrupt:
            say("interrupted")
    """
    assert run_script(text, tmp_path).splitlines() == ["True True", "mine", "interrupted"]


def test_a_workers_signals_are_its_own(tmp_path: Path) -> None:
    """A job that signals itself, and a SIGTERM to a worker, start no drain."""
    queue = hardstop.Queue(tmp_path / "jobs.db")
    with running(tmp_path) as started:
        (tmp_path / "gate").touch()
        until(lambda: queue.count("done") == 2)
        queue.enqueue("signal_itself")
        until(lambda: queue.count("done") == 3)
        (tmp_path / "gate").unlink()
        third = queue.options(max_attempts=1).enqueue("hold", 3, "gate")
        lines = []
        while not (lines and lines[-1].startswith("begun 3")):
            lines.append(started.line())
        assert any(line.startswith("signalled") for line in lines)
        os.kill(int(lines[-1].split()[2]), signal.SIGTERM)
        until(lambda: queue.count("dead") == 1)
        found = queue.find(third)
        assert found is not None
        assert "SIGTERM" in found.reason
        (tmp_path / "gate").touch()
        queue.enqueue("hold", 4, "gate")
        until(lambda: queue.count("done") == 4)
        started.process.send_signal(signal.SIGTERM)
        code, out = ended(started)
    assert code == 0
    assert out[-1] == "status 0"


def test_other_children_have_the_former_handlers(tmp_path: Path) -> None:
    """Of a fork by the program itself, too: its SIGTERM ends it, and starts no drain."""
    text = """
        import multiprocessing, os, signal
        import hardstop
        from service_jobs import *
        service = hardstop.Service(workers=1)
        @service.on("accept")
        def fork():
            child = multiprocessing.get_context("fork").Process(target=wait_for, args=("never",))
            child.start()
            os.kill(child.pid, signal.SIGTERM)
            child.join()
            say("child", child.exitcode, service.stats().phase)
        say("status", service.run([]))
    """
    out = run_script(text, tmp_path).splitlines()
    assert out == [f"child {-signal.SIGTERM} accept", "status 0"]


def test_a_worker_under_serve_has_the_former_handlers(tmp_path: Path) -> None:
    text = """
        import asyncio, os, signal
        import hardstop
        from service_jobs import *
        service = hardstop.Service(workers=1)
        service.job(hold)
        say("status", asyncio.run(service.serve([("hold", 1, "never")])), service.stats().failed)
    """
    with script(text, tmp_path, cwd=tmp_path) as started:
        os.kill(int(started.line().split()[2]), signal.SIGTERM)
        code, out, _ = started.end()
    assert (code, out) == (0, "status 0 1\n")


def test_the_terminals_interrupt(tmp_path: Path) -> None:
    """Ctrl-C goes to the whole foreground group; jobs are not in it."""
    queue = hardstop.Queue(tmp_path / "jobs.db")
    for number in (1, 2):
        queue.enqueue("hold", number, "gate")
    text = SERVICE.format(options="") + "\n    sys.exit(service.run())\n"
    with script(text, tmp_path, cwd=tmp_path, start_new_session=True) as started:
        assert started.line().startswith("begun 1")
        until(lambda: queue.count("leased") == 2)
        os.killpg(started.pid, signal.SIGINT)
        until(lambda: queue.count("queued") == 1)
        (tmp_path / "gate").touch()
        assert ended(started) == (0, ["ended 1"])


def test_sigusr1_tells_what_it_does(tmp_path: Path) -> None:
    with running(tmp_path) as started:
        assert started.process.stderr is not None
        started.process.send_signal(signal.SIGUSR1)
        told = [started.process.stderr.readline() for _ in range(3)]
        assert f"hardstop service (process {started.pid}): accept, 1 running, 1 waiting" in told[0]
        assert "1 hold, attempt 1: running for" in told[1]
        assert "2 hold, attempt 1: waiting" in told[2]
        (tmp_path / "gate").touch()
        started.process.send_signal(signal.SIGTERM)
        assert ended(started)[0] == 0


def test_sigterm_in_setup(tmp_path: Path) -> None:
    text = """
        import hardstop
        from service_jobs import *
        service = hardstop.Service(workers=1)
        @service.on("setup")
        def setup():
            say("setup")
            wait_for("gate")
        say("status", service.run(iter(lambda: ("never",), None)))
        say(service.stats().taken)
    """
    with script(text, tmp_path, cwd=tmp_path) as started:
        assert started.line() == "setup"
        started.process.send_signal(signal.SIGTERM)
        (tmp_path / "gate").touch()
        code, out, _ = started.end()
    assert (code, out.splitlines()) == (0, ["status 0", "0"])


def can_make_namespaces() -> bool:
    command = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "true"]
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not can_make_namespaces(), reason="no user and PID namespaces here")
def test_as_pid_1(tmp_path: Path) -> None:
    """As in a container without an init: SIGTERM drains, and the status is the container's."""
    queue = hardstop.Queue(tmp_path / "jobs.db")
    for number in (1, 2):
        queue.enqueue("hold", number, "gate")
    (tmp_path / "app.py").write_text(
        "import hardstop, os\n"
        "from service_jobs import *\n"
        "service = hardstop.Service(hardstop.Queue('jobs.db'), workers=1, prefetch=1, grace=60)\n"
        "service.job(hold)\n"
        "say('pid', os.getpid())\n"
    )
    namespaces = ["--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]
    worker = [sys.executable, "-m", "hardstop", "worker", "app:service"]
    with script(None, tmp_path, program=["unshare", *namespaces, *worker], cwd=tmp_path) as started:
        assert started.line() == "pid 1"
        assert started.line().startswith("begun 1")
        until(lambda: queue.count("leased") == 2)
        (init,) = [
            pid for pid in started.others() if status_of(pid).get("NSpid", "").split()[-1:] == ["1"]
        ]
        os.kill(init, signal.SIGTERM)
        until(lambda: queue.count("queued") == 1)
        (tmp_path / "gate").touch()
        code, out, _ = started.end()
    assert (code, out.splitlines()) == (0, ["ended 1"])
