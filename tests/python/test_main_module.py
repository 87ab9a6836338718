"""Functions and classes of __main__: defined, run, redefined, run again; in scripts and REPLs."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from support import METHODS, PATIENCE, environment, run_script

GUARDED = """
    import multiprocessing, sys
    from hardstop import ProcessPoolExecutor

    def top(): return "top"

    def helper(): return "helper"
    def uses(): return helper()

    class Thing:
        def __init__(self, value): self.value = value
        def method(self): return self.value

    class Error(Exception):
        pass

    def is_thing(thing): return isinstance(thing, Thing), type(thing) is Thing
    def make_thing(): return Thing(3)
    def fail(): raise Error("mine")

    state = "unset"
    def initialize(value):
        global state
        state = value
    def read_state(): return state

    if __name__ == "__main__":
        context = multiprocessing.get_context(sys.argv[1])
        def pool(**options): return ProcessPoolExecutor(1, context, **options)
"""


def run(text, folder, method):
    text = textwrap.dedent(GUARDED) + textwrap.indent(textwrap.dedent(text), "    ")
    return run_script(text, folder, method).split()


def test_classes_keep_their_identity_both_ways(method, tmp_path):
    out = run(
        """
        with pool() as p:
            print(p.submit(is_thing, Thing(1)).result())
            print(type(p.submit(make_thing).result()) is Thing)
            print(p.submit(Thing(4).method).result())
            print(p.submit(Thing, 5).result().value)
            print(type(p.submit(fail).exception()) is Error)
            print(p.submit(lambda t: is_thing(t), Thing(1)).result())
        """,
        tmp_path,
        method,
    )
    assert out == ["(True,", "True)", "True", "4", "5", "True", "(True,", "True)"]


def test_globals_set_by_the_initializer_are_seen(method, tmp_path):
    out = run(
        """
        with pool(initializer=initialize, initargs=("set",)) as p:
            print(p.submit(read_state).result())
        """,
        tmp_path,
        method,
    )
    assert out == ["set"]


def test_redefined_in_the_guarded_part(method, tmp_path):
    out = run(
        """
        with pool() as p:
            print(p.submit(top).result())
            old = top
            def top(): return "new"
            print(p.submit(top).result())
            print(p.submit(old).result())
            def top(): return "newer"
            print(p.submit(top).result(), p.submit(uses).result())
            def late(): return "late " + helper()
            print(p.submit(late).result())
        """,
        tmp_path,
        method,
    )
    assert out == ["top", "new", "top", "newer", "helper", "late", "helper"]


def test_defined_below_the_guard_before_the_first_submit(method, tmp_path):
    """An import of the file does not make it: it travels by value."""
    out = run(
        """
        def below(): return "below"
        def top(): return "redefined"
        class Below:
            def get(self): return "got"
        with pool() as p:
            print(p.submit(below).result(), p.submit(top).result())
            print(p.submit(Below().get).result())
            print(isinstance(p.submit(Below).result(), Below))
        """,
        tmp_path,
        method,
    )
    assert out == ["below", "redefined", "got", "True"]


def test_dataclasses_named_tuples_and_enums(method, tmp_path):
    text = """
        import dataclasses, enum, multiprocessing, sys, typing
        from hardstop import ProcessPoolExecutor
        @dataclasses.dataclass
        class Data:
            x: int
        class Named(typing.NamedTuple):
            x: int
        class Kind(enum.Enum):
            A = 1
        def check(*values):
            return [type(each).__name__ for each in values], type(values[0]) is Data, values[2] is Kind.A
        def back(): return Data(1), Named(2), Kind.A
        if __name__ == "__main__":
            with ProcessPoolExecutor(1, multiprocessing.get_context(sys.argv[1])) as p:
                print(p.submit(check, Data(1), Named(2), Kind.A).result())
                print(p.submit(back).result() == (Data(1), Named(2), Kind.A))
        """
    out = run_script(text, tmp_path, method)
    assert out.split("\n")[:2] == ["(['Data', 'Named', 'Kind'], True, True)", "True"]


UNGUARDED = """
    import multiprocessing, sys
    from hardstop import ProcessPoolExecutor
    pool = ProcessPoolExecutor(1)
    def f(): return 1
    print(pool.submit(f).result())
    def f(): return 2
    print(pool.submit(f).result())
    class C:
        def get(self): return "C"
    print(pool.submit(C().get).result(), isinstance(pool.submit(C).result(), C))
    f = lambda: 3
    print(pool.submit(f).result())
"""


def test_unguarded_script(tmp_path):
    assert run_script(UNGUARDED, tmp_path).split() == ["1", "2", "C", "True", "3"]


def interpret(text, *arguments):
    done = subprocess.run(
        [sys.executable, *arguments],
        input=textwrap.dedent(text),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=environment("repl"),
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.parametrize("arguments", [["-"], ["-i"]])
def test_standard_input(method, arguments):
    """No file to import, and each statement is run as it comes."""
    text = f"""
from hardstop import ProcessPoolExecutor
import multiprocessing
pool = ProcessPoolExecutor(1, multiprocessing.get_context({method!r}))
def f(): return "one"

print(pool.submit(f).result())
def f(): return "two"

print(pool.submit(f).result())
class C:
    def get(self): return "got"

print(pool.submit(C().get).result())
print(isinstance(pool.submit(C).result(), C))
def g(): return f() + "three"

print(pool.submit(g).result())
pool.shutdown()
"""
    out = interpret(text, *arguments).stdout.split()
    assert out == ["one", "two", "got", "True", "twothree"]


def test_command_line():
    for method in METHODS:
        text = (
            "import multiprocessing, hardstop\n"
            "def f(): return 'one'\n"
            f"p = hardstop.ProcessPoolExecutor(1, multiprocessing.get_context({method!r}))\n"
            "print(p.submit(f).result())"
        )
        assert interpret("", "-c", text).stdout.split() == ["one"]


def test_interactive_after_a_script(method, tmp_path):
    path = tmp_path / "prelude.py"
    path.write_text("def f(): return 'file'\n")
    text = f"""
import multiprocessing, hardstop
p = hardstop.ProcessPoolExecutor(1, multiprocessing.get_context({method!r}))
def typed(): return "typed"

print(p.submit(typed).result(), p.submit(f).result())
def f(): return "again"

print(p.submit(f).result())
p.shutdown()
"""
    assert interpret(text, "-i", str(path)).stdout.split() == ["typed", "file", "again"]


def test_run_as_a_module(method, tmp_path):
    package = tmp_path / "pack"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "work.py").write_text(
        textwrap.dedent(
            """
            import multiprocessing, sys
            from hardstop import ProcessPoolExecutor
            class C: pass
            def f(c): return isinstance(c, C)
            if __name__ == "__main__":
                with ProcessPoolExecutor(1, multiprocessing.get_context(sys.argv[1])) as p:
                    print(p.submit(f, C()).result())
            """
        )
    )
    done = subprocess.run(
        [sys.executable, "-m", "pack.work", method],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        cwd=tmp_path,
        env=environment("module"),
    )
    assert (done.returncode, done.stdout.strip()) == (0, "True"), done.stderr


def test_a_pool_in_main_is_freed(method, tmp_path):
    """The snapshot of __main__ keeps nothing of it alive."""
    text = """
        import gc
        from support import our_mappings, until
        for _ in range(3):
            p = pool()
            p.submit(top).result()
            p.shutdown(wait=False)
            del p
        from hardstop import _lifetime
        def freed():
            gc.collect()
            _lifetime.sweep_closed()
            return our_mappings() == 0
        until(freed)
        print("freed")
    """
    assert run(text, tmp_path, method) == ["freed"]


def test_a_guardian_reborn_knows_the_new_main(method, tmp_path):
    """G5: the guardian is killed; what is redefined meanwhile is never mistaken for the old one."""
    text = """
        import os, signal, threading, time
        from support import alive, guardians, until
        with pool() as p:
            first = top
            print(p.submit(top).result())
            def top(): return "new"
            old = guardians(os.getpid())
            stop = threading.Event()
            spin = threading.Thread(target=lambda: [time.sleep(0) for _ in iter(stop.is_set, True)])
            spin.start()
            os.kill(old[0], signal.SIGKILL)
            until(lambda: not alive(old[0]))
            print(p.submit(top).result(), p.submit(first).result())
            stop.set()
            spin.join()
    """
    assert run(text, tmp_path, method) == ["top", "new", "top"]
