"""What travels, how it arrives, and what is said of that which cannot."""

from __future__ import annotations

import copyreg
import enum
import multiprocessing
import pickle
import re
import socket
import sys
import threading
import types
from dataclasses import dataclass
from multiprocessing.reduction import ForkingPickler

import pytest

import hardstop
import jobs
from jobs import double, identity
from support import PATIENCE, running


def ping(pool):
    assert pool.submit(double, 2).result(PATIENCE) == 4
    return True


@dataclass
class Point:
    x: int
    y: int


class Colour(enum.Enum):
    RED = 1


VALUES = [
    None, True, False, 0, -1, 2**62, 2**63, -(2**63), -(2**63) - 1, 2**200, 0.0, -0.0, 1e308, 1j,
    "", "ü€😀", "\ud800", "a" * 100_000, "ü" * 50_000, b"", b"\0" * 10, b"x" * 100_000, (), (1,),
    ((((1,), 2), 3), 4), [], [1, [2]], {}, {"a": {1: 2}}, {1, 2}, frozenset([3]), range(5),
    bytearray(b"abc"), bytearray(200_000), Point(1, 2), Colour.RED, int, len, Point, double,
    ValueError("as a value"), re.compile("a+"), slice(1, 2), Ellipsis, NotImplemented,
    tuple(range(1000)), ("a" * 70_000, b"b" * 70_000, "c" * 70_000),
]  # fmt: skip


def test_values_arrive_as_they_are(any_pool):
    for value in VALUES:
        back = any_pool.submit(identity, value).result(PATIENCE)
        assert type(back) is type(value)
        if isinstance(value, Exception):
            assert back.args == value.args
        else:
            assert back == value
    assert any_pool.submit(identity, float("nan")).result() != 0
    assert any_pool.submit(identity, float("inf")).result() == float("inf")


def test_subclasses_stay_what_they_are(pool):
    class Text(str):
        pass

    back = pool.submit(identity, Text("a")).result()
    assert isinstance(back, Text)
    assert pool.submit(identity, True).result() is True
    assert type(pool.submit(identity, Colour.RED).result()) is Colour


def test_a_deep_tuple(pool):
    value = ()
    for _ in range(100):
        value = (value,)
    assert pool.submit(identity, value).result() == value


def test_the_same_object_twice(pool):
    shared = [1]
    back = pool.submit(identity, (shared, shared)).result()
    assert back[0] is back[1]


def test_lambdas_closures_and_local_classes(any_pool):
    offset = 10

    class Local:
        def __init__(self, value):
            self.value = value

        def get(self):
            return self.value

    def closure(number):
        return number + offset

    assert any_pool.submit(lambda a, b=2: a * b, 4).result() == 8
    assert any_pool.submit(closure, 1).result() == 11
    assert any_pool.submit(Local(5).get).result() == 5
    back = any_pool.submit(identity, Local(6)).result()
    assert isinstance(back, Local)
    assert back.get() == 6
    assert isinstance(any_pool.submit(Local, 7).result(), Local)
    assert any_pool.submit(lambda: closure).result()(1) == 11
    assert list(any_pool.map(lambda a: a + offset, range(3))) == [10, 11, 12]


def test_a_closure_that_changes_between_two_calls(pool):
    state = {"n": 1}

    def read():
        return state["n"]

    assert pool.submit(read).result() == 1
    state["n"] = 2
    assert pool.submit(read).result() == 2


def test_methods_partials_and_callables(any_pool):
    import functools
    import operator

    assert any_pool.submit("a-b".split, "-").result() == ["a", "b"]
    assert any_pool.submit(functools.partial(pow, 2), 5).result() == 32
    assert any_pool.submit(operator.itemgetter(1), [1, 2]).result() == 2
    assert any_pool.submit(Point, 1, y=2).result() == Point(1, 2)
    assert any_pool.submit(dict.fromkeys, "ab").result() == {"a": None, "b": None}


def test_a_module_without_a_file(any_pool):
    module = types.ModuleType("made_up")
    exec("base = 5\ndef add(n):\n    return n + base\n", module.__dict__)
    sys.modules["made_up"] = module
    try:
        assert any_pool.submit(module.add, 1).result(PATIENCE) == 6
    finally:
        del sys.modules["made_up"]


# --- what cannot travel


def test_unpicklable_arguments(any_pool):
    """Deadpool leaks the worker; here submit() succeeds and the future fails, as over there."""
    good = any_pool.submit(double, 1)
    for bad, kind in ((threading.Lock(), TypeError), (jobs.CannotTravel(), TypeError)):
        future = any_pool.submit(identity, bad)
        error = future.exception(PATIENCE)
        assert type(error) is kind
        assert future.done()
        assert not future.cancelled()
        assert future.cancel() is False
        seen = []
        future.add_done_callback(seen.append)
        assert seen == [future]
    assert good.result() == 2
    assert ping(any_pool)


def test_unpicklable_functions(any_pool):
    lock = threading.Lock()
    error = any_pool.submit(lambda: lock).exception(PATIENCE)
    assert isinstance(error, (TypeError, pickle.PicklingError))
    generator = (each for each in [1])
    assert isinstance(any_pool.submit(generator.__next__).exception(PATIENCE), TypeError)
    assert ping(any_pool)


def test_something_not_callable(pool):
    assert isinstance(pool.submit(3).exception(PATIENCE), TypeError)
    assert isinstance(pool.submit(None).exception(PATIENCE), TypeError)


def test_arguments_that_cannot_be_read(any_pool):
    error = any_pool.submit(identity, jobs.CannotBeRead()).exception(PATIENCE)
    assert isinstance(
        error, hardstop.UnreadableError
    )  # as for the standard library, BrokenProcessPool
    assert "ArithmeticError" in str(error)
    assert ping(any_pool)


def test_unpicklable_results(any_pool):
    """Deadpool hangs."""
    error = any_pool.submit(jobs.make, "CannotTravel").exception(PATIENCE)
    assert type(error) is TypeError
    assert "stays at home" in str(error)
    assert type(any_pool.submit(threading.Lock).exception(PATIENCE)) is TypeError
    assert ping(any_pool)


def test_results_that_cannot_be_read(any_pool):
    future = any_pool.submit(jobs.make, "CannotBeRead")
    assert isinstance(future.exception(PATIENCE), hardstop.UnreadableError)
    assert ping(any_pool)


def test_unpicklable_exceptions(any_pool):
    error = any_pool.submit(jobs.raise_unpicklable).exception(PATIENCE)
    assert "UnpicklableError" in str(error)
    assert "with a lock" in str(error)
    assert "in raise_unpicklable" in str(error.__cause__)
    assert ping(any_pool)


def test_exceptions_with_required_arguments(any_pool):
    error = any_pool.submit(jobs.raise_needs_two).exception(PATIENCE)
    assert type(error) is jobs.NeedsTwo
    assert error.code == 7
    assert str(error) == "7: seven"
    assert "in raise_needs_two" in str(error.__cause__)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="notes and groups are new in 3.11")
def test_notes_and_groups(any_pool):
    error = any_pool.submit(jobs.raise_with_notes).exception(PATIENCE)
    assert error.__notes__ == ["a note"]
    error = any_pool.submit(jobs.raise_group).exception(PATIENCE)
    if isinstance(error, BaseExceptionGroup):  # noqa: F821
        assert [type(each) for each in error.exceptions] == [ValueError, jobs.NeedsTwo]
    else:
        assert "two" in str(error)
    assert "raise_group" in str(error.__cause__)


def test_a_local_exception_class(any_pool):
    class Local(Exception):
        pass

    def fails():
        raise Local("here")

    error = any_pool.submit(fails).exception(PATIENCE)
    assert isinstance(error, Local)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError])
def test_exceptions_of_all_kinds(pool, kind):
    def raises():
        raise kind("from the job")

    assert type(pool.submit(raises).exception(PATIENCE)) is kind
    with pytest.raises(kind):
        pool.submit(raises).result(PATIENCE)
    assert ping(pool)


def test_a_returned_exception_is_a_value(any_pool):
    """Deadpool raises it."""
    future = any_pool.submit(jobs.return_exception)
    assert isinstance(future.result(PATIENCE), ValueError)
    assert future.exception() is None


def test_deep_recursion(any_pool):
    """RecursionError, on that future alone, whichever side finds it."""
    error = any_pool.submit(identity, jobs.deep(100_000)).exception(PATIENCE)
    assert isinstance(error, RecursionError)
    error = any_pool.submit(jobs.deep, 100_000).exception(PATIENCE)
    assert isinstance(error, RecursionError)
    assert ping(any_pool)


def test_a_result_too_large_for_memory(any_pool):
    assert isinstance(any_pool.submit(bytes, 1 << 46).exception(PATIENCE), MemoryError)
    assert ping(any_pool)


def test_failed_submits_leave_nothing_half_made(pool):
    refused = [pool.submit(identity, threading.Lock()) for _ in range(200)]
    assert {type(future.exception(PATIENCE)) for future in refused} == {TypeError}
    before = pool.stats()
    assert before["queued"] == before["running"] == 0
    assert ping(pool)


def test_system_exit_while_pickling_leaves_submit(pool):
    class Leaves:
        def __reduce__(self):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pool.submit(identity, Leaves())
    assert ping(pool)


# --- reducers, sockets, large things


class Late:
    def __init__(self, value):
        self.value = value


class Later(Late):
    pass


def _late(value):
    made = Late(value)
    made.reduced = True
    return made


def _later(value):
    made = Later(value)
    made.reduced = True
    return made


def test_reducers_registered_late(pool):
    assert not hasattr(pool.submit(identity, Late(1)).result(), "reduced")
    copyreg.pickle(Late, lambda late: (_late, (late.value,)))
    ForkingPickler.register(Later, lambda later: (_later, (later.value,)))
    try:
        assert pool.submit(identity, Late(1)).result().reduced
        assert pool.submit(identity, Later(1)).result().reduced
        ForkingPickler.register(Later, lambda later: (_late, (later.value,)))
        assert type(pool.submit(identity, Later(1)).result()) is not Later, "one was replaced"
    finally:
        del copyreg.dispatch_table[Late]
        del ForkingPickler._extra_reducers[Later]


def test_connections_do_not_travel_as_bare_numbers(any_pool):
    """The receiving side gets a descriptor of its own, through the resource sharer."""
    ours, theirs = multiprocessing.Pipe()
    with ours, theirs:
        future = any_pool.submit(_send, theirs, "hello")
        assert ours.recv() == "hello"
        assert future.result(PATIENCE) == "sent"


def _send(connection, what):
    connection.send(what)
    return "sent"


def test_sockets(any_pool):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        future = any_pool.submit(_send_bytes, theirs, b"hello")
        assert ours.recv(5) == b"hello"
        assert future.result(PATIENCE) == 5


def _send_bytes(to, what):
    return to.send(what)


def test_a_connection_in_plain_company(pool):
    """The fast path leaves it to pickle."""
    ours, theirs = multiprocessing.Pipe()
    with ours, theirs:
        future = pool.submit(_send, theirs, ("plain", 1))
        assert ours.recv() == ("plain", 1)
        future.result(PATIENCE)


def test_locks_in_arguments_are_refused_as_over_there(any_pool):
    error = any_pool.submit(identity, multiprocessing.Lock()).exception(PATIENCE)
    assert isinstance(error, RuntimeError)
    assert "inheritance" in str(error)


def test_64_megabytes_there_and_back(any_pool):
    big = bytes(64 << 20)
    assert any_pool.submit(identity, big).result(PATIENCE) == big
    text = "x" * (16 << 20)
    assert any_pool.submit(identity, text).result(PATIENCE) == text


def test_numpy_out_of_band(any_pool):
    numpy = pytest.importorskip("numpy")
    array = numpy.arange(1 << 20, dtype=numpy.float64)
    back = any_pool.submit(identity, array).result(PATIENCE)
    assert (back == array).all()
    assert back.flags.writeable
    back[0] = 7
    assert array[0] == 0
    again = any_pool.submit(identity, back).result(PATIENCE)
    assert again[0] == 7
    del back
    assert again[1] == 1
    read_only = array.copy()
    read_only.flags.writeable = False
    assert not any_pool.submit(identity, read_only).result(PATIENCE).flags.writeable
    assert any_pool.submit(_writes, array).result(PATIENCE) == 5.0
    assert array[0] == 0


def _writes(array):
    array[0] = 5
    return float(array[0])


def test_numpy_results_keep_their_values(pool):
    """Memory of a result that somebody holds is not used again."""
    numpy = pytest.importorskip("numpy")
    kept = [pool.submit(_filled, at).result(PATIENCE) for at in range(60)]
    assert all((array == at).all() for at, array in enumerate(kept))
    pool.shutdown()
    assert all((array == at).all() for at, array in enumerate(kept)), "also after the end"
    assert kept[0].dtype == numpy.int64


def _filled(number):
    import numpy

    return numpy.full(50_000, number)


def test_numpy_of_all_sorts(pool):
    numpy = pytest.importorskip("numpy")
    for array in (
        numpy.zeros(0),
        numpy.zeros((300, 300))[::2, ::3],
        numpy.asfortranarray(numpy.arange(90_000).reshape(300, 300)),
        numpy.array(["a", None], dtype=object),
        numpy.zeros(3, dtype="i4,f8"),
    ):
        back = pool.submit(identity, array).result(PATIENCE)
        assert back.shape == array.shape
        assert back.dtype == array.dtype
        assert (back == array).all()
    many = [numpy.full(20_000, at) for at in range(300)]
    back = pool.submit(identity, many).result(PATIENCE)
    assert all((one == two).all() for one, two in zip(many, back))


def test_results_in_shared_memory_of_a_worker_that_died(pool):
    numpy = pytest.importorskip("numpy")
    future = pool.submit(_filled, 3)
    array = future.result(PATIENCE)
    dead = pool.submit(jobs.die)
    assert isinstance(dead.exception(PATIENCE), hardstop.WorkerDiedError)
    assert (array == 3).all()
    array += 1
    assert isinstance(array, numpy.ndarray)


def test_many_arguments_while_others_run(pool, tmp_path):
    gate = tmp_path / "gate"
    blockers = [pool.submit(jobs.wait_for_file, str(gate)) for _ in range(2)]
    for each in blockers:
        running(each)
    futures = [pool.submit(identity, bytes([at]) * 100_000) for at in range(100)]
    gate.touch()
    for at, future in enumerate(futures):
        assert future.result(PATIENCE) == bytes([at]) * 100_000
