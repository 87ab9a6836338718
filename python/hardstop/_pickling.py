"""How calls, results and exceptions travel: pickle, with what multiprocessing and cloudpickle add.

A call that consists of a function found by name and plain values does not come here at all: C++
writes it. Formats are told by the first byte (native/codec.hpp).
"""

from __future__ import annotations

import copyreg
import io
import pickle
import struct
import sys
import traceback
import types
from collections.abc import Callable
from concurrent.futures.process import _ExceptionWithTraceback
from multiprocessing.reduction import ForkingPickler
from typing import TYPE_CHECKING, Any, ClassVar

from ._errors import RemoteError, UnreadableError

if TYPE_CHECKING:
    from ._snapshot import Snapshot

_PICKLED = b"\x02"
_PICKLED_CALL = b"\x04"
_EXCEPTION = b"\x05"
_LENGTH = struct.Struct("=I")

_OUT_OF_BAND = 64 * 1024  # bytes; smaller buffers travel within the pickle
_MOST_BUFFERS = 200
_LONGEST_TEXT = 3500  # of an exception's type and text, for people

Payload = tuple[bytes, list[Any]]

# What code that runs while something is unpickled may raise and must not end its process with.
_ANYTHING = (Exception, SystemExit)

# What pickle raises for an object that cannot be pickled by reference.
_REFUSALS = (pickle.PicklingError, TypeError, AttributeError)


class _Reducers:
    """copyreg's and multiprocessing's reducers as one table, made anew when either has changed."""

    def __init__(self) -> None:
        self._copyreg: dict[Any, Any] = {}
        self._extra: dict[Any, Any] = {}
        self._merged: dict[Any, Any] = {}

    def table(self) -> dict[Any, Any]:
        extra: dict[Any, Any] = ForkingPickler._extra_reducers  # type: ignore[attr-defined]
        # There are a dozen, and the very same objects: this takes a third of a microsecond.
        if self._extra != extra or self._copyreg != copyreg.dispatch_table:
            self._copyreg, self._extra = dict(copyreg.dispatch_table), dict(extra)
            self._merged = {**self._copyreg, **self._extra}
        return self._merged


_reducers = _Reducers()


class _Buffers(list[Any]):
    """Takes large buffers out of a pickle."""

    def __call__(self, buffer: pickle.PickleBuffer) -> bool:
        try:
            raw = buffer.raw()
        except BufferError:  # not contiguous
            return True
        if raw.nbytes < _OUT_OF_BAND or len(self) >= _MOST_BUFFERS:
            return True
        self.append(raw)
        return False


class _Dumper:
    """A pickler that is used again: making one takes half as long as what it does."""

    def __init__(self) -> None:
        self._file = io.BytesIO()
        self._buffers = _Buffers()
        self._pickler = pickle.Pickler(self._file, 5, buffer_callback=self._take)
        self._table: dict[Any, Any] | None = None

    def dump(self, value: object, table: dict[Any, Any]) -> Payload:
        if table is not self._table:
            self._pickler.dispatch_table = self._table = table
        file = self._file
        self._pickler.dump(value)
        pickled: bytes = file.getvalue()
        buffers: list[Any] = []
        # It keeps nothing of anybody's.
        self._pickler.clear_memo()
        file.seek(0)
        file.truncate()
        if self._buffers:
            buffers, self._buffers = self._buffers, _Buffers()
        return pickled, buffers

    def _take(self, buffer: pickle.PickleBuffer) -> bool:
        return self._buffers(buffer)


# Those that nobody uses just now: pickling runs others' code, and other threads.
_dumpers: list[_Dumper] = []


def _dump(value: object) -> Payload:
    try:
        dumper = _dumpers.pop()
    except IndexError:
        dumper = _Dumper()
    payload = dumper.dump(value, _reducers.table())
    _dumpers.append(dumper)  # one that has failed is not used again
    return payload


def _by_value_pickler(file: io.BytesIO, buffers: _Buffers, snapshot: Snapshot | None) -> Any:
    import cloudpickle

    taken: list[types.ModuleType] = []

    class ByValue(cloudpickle.Pickler):  # type: ignore[misc]
        dispatch_table: ClassVar[dict[Any, Any]] = {
            **_reducers.table(),
            **cloudpickle.Pickler._dispatch_table,
        }

        def reducer_override(self, value: Any) -> Any:
            # What the workers have under this very name needs no copy, and must not have one:
            # isinstance() would not hold there.
            if snapshot is not None and snapshot.holds(value):
                return NotImplemented
            if isinstance(value, (type, types.FunctionType)):
                self._take_module(value.__module__)
            return super().reducer_override(value)

        def _take_module(self, name: str) -> None:
            # cloudpickle trusts in the import of whatever is in sys.modules.
            module = sys.modules.get(name)
            if name == "__main__" or module is None or is_importable(module):
                return
            if name not in cloudpickle.list_registry_pickle_by_value():
                cloudpickle.register_pickle_by_value(module)
                taken.append(module)

        def dump(self, value: object) -> None:
            try:
                super().dump(value)
            finally:
                for module in taken:
                    cloudpickle.unregister_pickle_by_value(module)

    return ByValue(file, 5, buffer_callback=buffers)


def _dump_by_value(value: object, snapshot: Snapshot | None) -> Payload:
    buffers = _Buffers()
    file = io.BytesIO()
    _by_value_pickler(file, buffers, snapshot).dump(value)
    return file.getvalue(), buffers


def _dump_somehow(value: object, snapshot: Snapshot | None) -> Payload:
    try:
        return _dump(value)
    except _REFUSALS as refusal:
        try:
            return _dump_by_value(value, snapshot)
        except Exception:
            raise refusal from None


def _load_in_worker(pickled: Any, segments: list[memoryview]) -> Any:
    # Copies: the arguments' memory is used again when the job has ended, and may not be written.
    return pickle.loads(pickled, buffers=[bytearray(segment) for segment in segments])


def _unreadable(what: str, error: BaseException) -> UnreadableError:
    return UnreadableError(f"{what}: {_name(type(error))}: {_text(error)}")


# --- calls, in the client


def name_function(snapshot: Snapshot, function: Any) -> bytes | None:
    """A pickle by reference, if that finds this very function in a worker; else None.

    Only of plain functions and classes: whatever else is callable can change between two calls.
    """
    if not isinstance(function, (types.FunctionType, types.BuiltinFunctionType, type)):
        return None
    if not snapshot.holds(function):
        return None
    try:
        return pickle.dumps(function, 5)
    except _REFUSALS:
        return None


def dump_function(snapshot: Snapshot, function: Callable[..., Any]) -> bytes:
    """What load_function() in a worker makes the function of again: its name, or a copy."""
    blob = name_function(snapshot, function)
    return bytes(_dump_by_value(function, snapshot)[0]) if blob is None else blob


def dump_call(
    snapshot: Snapshot, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Payload:
    """A call for a worker; if it cannot be pickled, its error, which the worker hands back.

    So the error takes the job's turn, is counted and comes where the standard library has it: from
    the future.
    """
    try:
        blob = name_function(snapshot, function)
        if blob is not None:
            pickled, buffers = _dump_somehow((args, kwargs), snapshot)
            return b"".join((_PICKLED_CALL, _LENGTH.pack(len(blob)), blob, pickled)), buffers
        pickled, buffers = _dump_by_value((function, args, kwargs), snapshot)
        return _PICKLED + pickled, buffers
    except Exception as error:
        return _dump_refusal(error)


def dump_arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Payload | None:
    """The quick way, for a function that workers know by name. None: it takes dump_call()."""
    try:
        return _dump((args, kwargs))
    except Exception:
        return None


def _dump_refusal(error: Exception) -> Payload:
    payload, buffers = dump_exception(error)
    if buffers:  # an exception that carries megabytes: not worth a way of their own
        return dump_exception(RemoteError(f"{_name(type(error))}: {_text(error)}"))
    return payload, buffers


# --- calls, in a worker

_functions: dict[bytes, Callable[..., Any]] = {}


def load_function(blob: bytes) -> Callable[..., Any]:
    function = _functions.get(blob)
    if function is None:
        try:
            function = _functions[blob] = pickle.loads(blob)
        except _ANYTHING as error:
            raise _unreadable("the function cannot be imported in the worker", error) from error
    return function


def load_call(
    payload: memoryview, segments: list[memoryview]
) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    if payload[:1] == _PICKLED:
        function, args, kwargs = _load_arguments(payload[1:], segments)
    else:
        (length,) = _LENGTH.unpack_from(payload, 1)
        start = 1 + _LENGTH.size
        function = load_function(bytes(payload[start : start + length]))
        args, kwargs = _load_arguments(payload[start + length :], segments)
    return function, args, kwargs


def unreadable_call(error: BaseException) -> BaseException:
    """What the future gets if the arguments cannot be unpickled."""
    if not isinstance(error, _ANYTHING):
        return error
    unreadable = _unreadable("the call cannot be unpickled in the worker", error)
    unreadable.__cause__ = error
    return unreadable


def _load_arguments(pickled: memoryview, segments: list[memoryview]) -> Any:
    try:
        return _load_in_worker(pickled, segments)
    except _ANYTHING as error:
        raise _unreadable("the call cannot be unpickled in the worker", error) from error


# --- results


def dump_result(value: object) -> Payload:
    pickled, buffers = _dump_somehow(value, None)
    return _PICKLED + pickled, buffers


def load_result(payload: bytes, segments: list[Any]) -> Any:
    """The result, or the job's exception. Large buffers become views of the segments."""
    raised = payload[:1] == _EXCEPTION
    start = 1
    if raised:
        (length,) = _LENGTH.unpack_from(payload, 1)
        start += _LENGTH.size + length
    try:
        return pickle.loads(memoryview(payload)[start:], buffers=segments)
    except _ANYTHING as error:
        what = "exception" if raised else "result"
        raise _unreadable(f"the job's {what} cannot be unpickled here", error) from error


# --- exceptions


def _rebuild_without_init(
    kind: type[BaseException], args: tuple[Any, ...], state: dict[str, Any] | None
) -> BaseException:
    made = kind.__new__(kind, *args)
    made.args = args
    if state:
        made.__dict__.update(state)
    return made


class _WithoutInit:
    """An exception whose class wants other arguments than ``args`` says."""

    def __init__(self, error: BaseException) -> None:
        self._parts = (type(error), error.args, dict(error.__dict__))

    def __reduce__(self) -> Any:
        return _rebuild_without_init, self._parts


def _rebuild_with_cause(error: BaseException, text: str) -> BaseException:
    from concurrent.futures.process import _RemoteTraceback

    error.__cause__ = _RemoteTraceback(text)  # type: ignore[arg-type]  # a text, in truth
    return error


class _WithCause:
    def __init__(self, error: Any, text: str) -> None:
        self._parts = (error, text)

    def __reduce__(self) -> Any:
        return _rebuild_with_cause, self._parts


def _survives(value: object) -> Payload | None:
    """The pickle of an exception, if it can be read again."""
    try:
        pickled, buffers = _dump_somehow(value, None)
        loaded = pickle.loads(pickled, buffers=list(buffers))
    except Exception:
        return None
    return (pickled, buffers) if isinstance(loaded, BaseException) else None


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as broken:
        return f"<its str() raised {type(broken).__name__}>"


def _name(kind: type) -> str:
    if kind.__module__ in ("builtins", "__main__"):
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def dump_exception(error: BaseException) -> Payload:
    type_name, text = _name(type(error)), _text(error)
    whole = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    remote = f'\n"""\n{whole}"""'
    payload = (
        _survives(_ExceptionWithTraceback(error, error.__traceback__))  # type: ignore[arg-type]
        or _survives(_WithCause(_WithoutInit(error), remote))
        or _dump(_WithCause(RemoteError(f"{type_name}: {text}"), remote))
    )
    told = _failure(type_name, text)
    return b"".join((_EXCEPTION, _LENGTH.pack(len(told)), told, payload[0])), payload[1]


def _failure(type_name: str, text: str) -> bytes:
    """For people and statistics, as the engine reads it (src/wire/failure.hpp)."""

    def cut(string: str) -> bytes:
        return string.encode("utf-8", "replace")[:_LONGEST_TEXT]

    name = cut(type_name)
    return _LENGTH.pack(len(name)) + name + cut(text)


def job_name(function: Any) -> str:
    """What a job is called in messages if nobody named it."""
    while hasattr(function, "func") and not hasattr(function, "__qualname__"):
        function = function.func  # a partial
    name = getattr(function, "__qualname__", None)
    return name if isinstance(name, str) else type(function).__qualname__


def is_importable(module: types.ModuleType | None) -> bool:
    """Whether another process can import it under its name."""
    return module is not None and (
        getattr(module, "__spec__", None) is not None or module.__name__ in sys.builtin_module_names
    )
