"""Ends of the client: whatever way it goes, it goes, and nothing of it stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid

import pytest

from support import METHODS, PATIENCE, environment, marked, run_script, script, until

POOL = """
    import multiprocessing, os, sys, time
    import hardstop
    from hardstop import ProcessPoolExecutor, ProcessCancelTimeout
    from jobs import *
    method = sys.argv[1]
    def pool(workers=2, **options):
        return ProcessPoolExecutor(workers, multiprocessing.get_context(method), **options)
    if __name__ == "__main__":
"""

# Each ends without shutting its pool down.
ENDINGS = {
    "never started": """
        p = pool()
    """,
    "idle": """
        p = pool()
        assert p.submit(abs, -1).result() == 1
    """,
    "busy": """
        p = pool()
        f = [p.submit(time.sleep, 0.05) for _ in range(4)]
        f[0].add_done_callback(lambda f: print("callback"))
    """,
    "just submitted": """
        p = pool()
        p.submit(abs, 1)
    """,
    "cancelling": """
        p = pool()
        f = p.submit(time.sleep, 600, ProcessCancelTimeout(0.1))
        while not f.running(): pass
        f.cancel()
    """,
    "abandoned": """
        pool().submit(time.sleep, 0.05)
    """,
    "abandoned idle": """
        pool().submit(abs, 1).result()
    """,
    "shut down without waiting": """
        p = pool()
        p.submit(time.sleep, 0.05)
        p.shutdown(wait=False)
    """,
    "several pools": """
        p = [pool(1) for _ in range(3)]
        f = [each.submit(time.sleep, 0.02) for each in p]
    """,
    "sys.exit in the with block": """
        with pool() as p:
            p.submit(time.sleep, 600)
            sys.exit(0)
    """,
    "waited for in a thread": """
        import threading
        p = pool()
        f = p.submit(time.sleep, 0.1)
        threading.Thread(target=f.result).start()
        threading.Thread(target=f.result, daemon=True).start()
    """,
    "a daemon thread waits for ever": """
        import threading
        p = pool()
        f = hardstop.Future()
        threading.Thread(target=f.result, daemon=True).start()
        g = p.submit(time.sleep, 0.05)
        threading.Thread(target=lambda: [g.done() for _ in iter(int, 1)], daemon=True).start()
    """,
    "daemon threads wake while the interpreter is finalized": """
        import threading
        class Slow:
            def __del__(self, sleep=time.sleep):
                sleep(0.1)
        sys.slow = Slow()
        p = pool()
        f = p.submit(time.sleep, 0.05)
        for _ in range(50):
            threading.Thread(target=f.result, daemon=True).start()
    """,
    "with atexit functions": """
        import atexit
        p = pool()
        f = p.submit(time.sleep, 0.05)
        atexit.register(lambda: print(f.result()))
    """,
}


def in_folder(text):
    import textwrap

    return textwrap.dedent(POOL) + textwrap.indent(textwrap.dedent(text), "    ")


@pytest.mark.parametrize("ending", ENDINGS)
def test_interpreter_exit(ending, method, tmp_path):
    with script(in_folder(ENDINGS[ending]), tmp_path, method) as started:
        code, out, err = started.end()
    assert code == 0, err
    assert "Fatal" not in err
    assert "Traceback" not in err, err
    assert ("callback" in out) == (ending == "busy")


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["idle", "busy", "cancelling", "abandoned"])
def test_hundreds_of_exits(ending, tmp_path):
    for _ in range(100):
        with script(in_folder(ENDINGS[ending]), tmp_path, "fork") as started:
            code, _out, err = started.end()
        assert code == 0, err
        assert err == ""


def test_exit_with_an_exception(method, tmp_path):
    text = """
        with pool() as p:
            p.submit(time.sleep, 0.05)
            raise LookupError("the client's own")
    """
    with script(in_folder(text), tmp_path, method) as started:
        code, _out, err = started.end()
    assert code == 1
    assert "LookupError: the client's own" in err


def test_os_exit_and_exec(method, tmp_path):
    """G5: not even Python knows of these ends."""
    for end in ("os._exit(3)", "os.execv('/bin/true', ['true'])", "os.kill(os.getpid(), 9)"):
        text = f"""
        p = pool()
        f = [p.submit(time.sleep, 600) for _ in range(3)]
        while not f[0].running(): pass
        {end}
        """
        with script(in_folder(text), tmp_path, method) as started:
            started.process.wait(PATIENCE)
            started.all_gone()


def test_submitting_at_exit_is_refused_as_over_there(tmp_path):
    out = run_script(
        """
        import atexit, threading
        from hardstop import ProcessPoolExecutor
        pool, late = ProcessPoolExecutor(1), ProcessPoolExecutor(1)
        pool.submit(abs, 1).result()
        def at_exit():
            for each in (pool, late):
                try:
                    each.submit(abs, 1)
                except RuntimeError as error:
                    print(error)
        atexit.register(at_exit)
        """,
        tmp_path,
    )
    assert out.count("cannot schedule new futures after") == 2


def test_sigkill_of_the_client(method, tmp_path):
    """G5: idle, busy, with grandchildren."""
    text = f"""
        p = pool(3)
        p.submit(abs, 1).result()
        p.submit(session_of_its_own, {str(tmp_path / "a")!r})
        p.submit(daemonize, {str(tmp_path / "b")!r})
        while not (os.path.exists({str(tmp_path / "a")!r}) and os.path.exists({str(tmp_path / "b")!r})):
            time.sleep(0.01)
        print("ready", flush=True)
        time.sleep(600)
    """
    with script(in_folder(text), tmp_path, method) as started:
        assert started.line() == "ready"
        assert len(started.others()) >= 4
        os.kill(started.pid, signal.SIGKILL)
        started.process.wait(PATIENCE)
        started.all_gone()


def test_exit_while_jobs_leave_shared_memory(tmp_path):
    """The resource tracker is shared: it tidies up after a killed job when the client has ended."""
    name = f"hs{uuid.uuid4().hex[:12]}"
    text = f"""
        p = pool()
        f = p.submit(shared_memory, {str(tmp_path / "a")!r}, {name!r})
        while not os.path.exists({str(tmp_path / "a")!r}): time.sleep(0.01)
        assert os.path.exists("/dev/shm/{name}")
        f.cancel()
        try: f.result()
        except hardstop.ProcessCancelledError: print("cancelled")
        p.shutdown()
    """
    for method in METHODS:
        (tmp_path / "a").unlink(missing_ok=True)
        with script(in_folder(text), tmp_path, method) as started:
            code, out, _err = started.end()
        assert code == 0
        assert "cancelled" in out
        assert not os.path.exists(f"/dev/shm/{name}")


# --- signals


INTERRUPTED = {
    "result": "p.submit(time.sleep, 600).result()",
    "result of a looked-at future": ("f = p.submit(time.sleep, 600); f._condition; f.result()"),
    "map": "list(p.map(time.sleep, [600, 600]))",
    "as_completed": (
        "import concurrent.futures as c; list(c.as_completed([p.submit(time.sleep, 600)]))"
    ),
    "shutdown": "p.submit(time.sleep, 600); p.shutdown()",
    "the end of the with block": "p.submit(time.sleep, 600)",
    "asyncio": "import asyncio; asyncio.run(p.run(time.sleep, 600))",
}


@pytest.mark.parametrize("where", INTERRUPTED)
def test_ctrl_c(where, tmp_path):
    """Handlers run while a call blocks, and leaving by KeyboardInterrupt stops what runs."""
    text = f"""
        import signal
        def told(number, frame):
            print("handled", flush=True)
            raise KeyboardInterrupt
        signal.signal(signal.SIGINT, told)
        try:
            with pool() as p:
                p.submit(abs, 1).result()
                print("ready", flush=True)
                {INTERRUPTED[where]}
        except KeyboardInterrupt:
            print("interrupted", flush=True)
    """
    with script(in_folder(text), tmp_path, "fork") as started:
        assert started.line() == "ready"
        time.sleep(0.2)  # until it blocks, most likely; it is right if it does not, too
        os.kill(started.pid, signal.SIGINT)
        assert started.line() == "handled"
        code, out, err = started.end()
    assert code == 0, err
    assert "interrupted" in out


def test_leaving_gives_each_job_its_grace(method, tmp_path):
    """The job that obeys ends by itself; the one without a grace is killed."""
    text = """
        try:
            with pool() as p:
                f = p.submit(stop_when_asked, sys.argv[2], "obeyed", ProcessCancelTimeout(60))
                while not os.path.exists(sys.argv[2]): time.sleep(0.01)
                g = p.submit(time.sleep, 600)
                while not g.running(): time.sleep(0.01)
                h = p.submit(time.sleep, 600)
                sys.exit(3)
        except SystemExit as error:
            print(f.result(), g.cancelled(), h.cancelled(), error.code)
    """
    with script(in_folder(text), tmp_path, method, str(tmp_path / method)) as started:
        code, out, err = started.end()
    assert (code, out.split()) == (0, ["obeyed", "True", "True", "3"]), err


def test_leaving_in_a_hurry_ends_a_grace(tmp_path):
    """A second Ctrl-C."""
    text = """
        try:
            with pool() as p:
                f = p.submit(say_and_sleep, sys.argv[2], ProcessCancelTimeout(600))
                while not os.path.exists(sys.argv[2]): time.sleep(0.01)
                print("ready", flush=True)
                f.result()
        except KeyboardInterrupt:
            print("interrupted", f.done())
    """
    with script(in_folder(text), tmp_path, "fork", str(tmp_path / "a")) as started:
        assert started.line() == "ready"
        for _ in range(2):
            time.sleep(0.2)
            os.kill(started.pid, signal.SIGINT)
        code, out, err = started.end()
    assert (code, out.split()) == (0, ["interrupted", "True"]), err


def test_a_handler_that_returns_does_not_disturb(tmp_path):
    text = """
        import signal
        signal.signal(signal.SIGUSR1, lambda *_: print("handled", flush=True))
        with pool() as p:
            p.submit(abs, 1).result()
            f = p.submit(wait_for_file, sys.argv[2])
            print("ready", flush=True)
            print(f.result() == sys.argv[2])
    """
    gate = tmp_path / "gate"
    with script(in_folder(text), tmp_path, "fork", str(gate)) as started:
        assert started.line() == "ready"
        for _ in range(5):
            os.kill(started.pid, signal.SIGUSR1)
            assert started.line() == "handled"
        gate.touch()
        code, out, _err = started.end()
    assert (code, out.strip()) == (0, "True")


def test_ctrl_c_on_a_terminal(method, tmp_path):
    """The terminal's SIGINT goes to its foreground group: workers are not in it."""
    text = """
        def facts():
            return process_facts()["has terminal"], os.getpgid(0)
        try:
            with pool() as p:
                terminal, group = p.submit(facts).result()
                print("ready", terminal, group == os.getpgid(0), flush=True)
                p.submit(time.sleep, 600).result()
        except KeyboardInterrupt:
            print("interrupted", flush=True)
    """
    import pty

    mark = uuid.uuid4().hex
    path = tmp_path / "script.py"
    path.write_text(in_folder(text))
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(sys.executable, [sys.executable, str(path), method], environment(mark))
    seen = b""
    sent = False
    while True:
        try:
            piece = os.read(terminal, 1000)
        except OSError:
            break
        if not piece:
            break
        seen += piece
        if b"ready" in seen and b"\n" in seen and not sent:
            sent = True
            time.sleep(0.2)
            os.write(terminal, b"\x03")
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, seen
    assert b"ready False" in seen
    assert b"interrupted" in seen
    assert b"Traceback" not in seen, seen
    until(lambda: not marked(mark))


def test_sigterm_of_the_client(method, tmp_path):
    text = """
        p = pool()
        f = p.submit(time.sleep, 600)
        while not f.running(): pass
        print("ready", flush=True)
        f.result()
    """
    with script(in_folder(text), tmp_path, method) as started:
        assert started.line() == "ready"
        started.process.terminate()
        code, _out, _err = started.end()
    assert code == -signal.SIGTERM


def test_sigint_storm_loses_no_result(tmp_path):
    """A KeyboardInterrupt in the middle of reading a result: the future keeps it."""
    text = """
        import signal, threading
        class Slow:
            def __init__(self, value): self.value = value
            def __reduce__(self): return make, (self.value,)
        def make(value):
            for _ in range(2000): pass
            return Slow(value)
        interrupts, armed = 0, False
        def told(number, frame):
            global armed
            if armed:
                armed = False  # here, so that no second one meets what handles the first
                raise KeyboardInterrupt
        def insist(call):
            global interrupts, armed
            while True:
                try:
                    armed = True
                    got = call()
                    armed = False
                    return got
                except KeyboardInterrupt:
                    interrupts += 1
        with pool() as p:
            p.submit(abs, 1).result()
            signal.signal(signal.SIGALRM, told)
            signal.setitimer(signal.ITIMER_REAL, 0.0007, 0.0007)
            futures = [insist(lambda: p.submit(make, at)) for at in range(400)]
            values = [insist(future.result).value for future in futures]
            signal.setitimer(signal.ITIMER_REAL, 0, 0)
        assert sorted(set(values)) == list(range(400)), values
        print("all", interrupts > 0)
    """
    text = text.replace("class Slow", "global Slow, make\n        class Slow")
    with script(in_folder(text), tmp_path, "fork") as started:
        code, out, err = started.end()
    assert code == 0, err
    assert "all" in out


# --- fork in the client


def test_fork_before_the_start(tmp_path):
    """A pool that has not begun belongs to whoever begins it."""
    out = run_script(
        """
        import os
        from hardstop import ProcessPoolExecutor
        pool = ProcessPoolExecutor(1)
        pid = os.fork()
        print(pool.submit(pow, 2, 3).result(), flush=True)
        pool.shutdown()
        if pid: os.waitpid(pid, 0)
        """,
        tmp_path,
    )
    assert out.split() == ["8", "8"]


def test_fork_after_the_start(method, tmp_path):
    """Refuses with a clear error there; nothing is disturbed here; destructors are silent."""
    text = """
        import warnings; warnings.simplefilter("ignore")
        p = pool()
        running = p.submit(wait_for_file, sys.argv[2])
        done = p.submit(abs, -2)
        assert done.result() == 2
        pid = os.fork()
        if pid == 0:
            try:
                p.submit(abs, 1)
            except hardstop.HardstopError as error:
                print("refused:", error, flush=True)
            assert done.result() == 2
            p.shutdown()
            fresh = ProcessPoolExecutor(1, multiprocessing.get_context(method))
            print(fresh.submit(abs, -7).result(), flush=True)
            fresh.shutdown()
            del p, running, done
            import gc; gc.collect()
            sys.exit(0)
        print("child:", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
        open(sys.argv[2], "w").close()
        assert running.result() == sys.argv[2]
        assert p.submit(abs, -3).result() == 3
        print("parent fine")
    """
    gate = tmp_path / f"gate{method}"
    with script(in_folder(text), tmp_path, method, str(gate)) as started:
        code, out, err = started.end()
    assert code == 0, err
    assert "refused:" in out
    assert "fork" in out
    assert "\n7\n" in out
    assert "child: 0" in out
    assert "parent fine" in out
    assert err == ""


def test_multiprocessing_process_beside_a_pool(method, tmp_path):
    text = """
        import warnings; warnings.simplefilter("ignore")
        p = pool()
        assert p.submit(abs, -2).result() == 2
        context = multiprocessing.get_context(method)
        other = context.Process(target=abs, args=(1,))
        other.start(); other.join()
        print(other.exitcode)
    """
    with script(in_folder(text), tmp_path, method) as started:
        code, out, err = started.end()
    assert (code, out.strip()) == (0, "0"), err


def test_subprocess_beside_a_pool(pool):
    """G10: no exit status is stolen."""
    pool.submit(abs, 1).result()
    for _ in range(20):
        assert subprocess.run([sys.executable, "-c", "raise SystemExit(7)"]).returncode == 7
        pool.submit(abs, 1).result()
