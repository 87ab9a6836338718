"""What a queue holds of a job: a name and arguments as data; and the way back, in a worker.

Nothing here runs what it reads but :func:`run_message`, in a worker. A pickle is looked into only
behind a signature that fits.
"""

from __future__ import annotations

import inspect
import json
import logging
import os
import pickle
import tempfile
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ._errors import MessageRefusedError
from ._pickling import job_name, load_function

Encoding = Literal["json", "msgpack", "pickle"]
ENCODINGS = ("json", "msgpack", "pickle")
_SHORTEST_KEY = 16  # bytes
_SIGNATURE = 32  # bytes of HMAC-SHA256, in front of the pickle

# (name, encoding, arguments), as C++ has a message.
Encoded = tuple[str, str, bytes]

_logger = logging.getLogger("hardstop.service")


@dataclass(frozen=True)
class Message:
    """One call as data: the name of a job that the service knows, and arguments."""

    name: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class EncodedMessage:
    """A message as a queue's file has it. Nobody has looked into it."""

    name: str
    encoding: Encoding
    arguments: bytes = field(repr=False)

    def decode(self, key: bytes | None = None) -> Message:
        """The arguments. MessageRefusedError if they make no sense, or a pickle is not signed
        with ``key``."""
        encoding, arguments = self.encoding, self.arguments
        if encoding == "pickle":
            arguments = checked_pickle(self.name, arguments, key)
        args, kwargs = decode(encoding, arguments)
        return Message(self.name, args, kwargs)


def message(job: str | Callable[..., object], /, *args: Any, **kwargs: Any) -> Message:
    """The message that calls ``job``, a name or a registered function, with these arguments."""
    return Message(name_of(job), args, kwargs)


# --- names

# Which function was registered under which names, by whatever service.
_names: weakref.WeakKeyDictionary[Any, set[str]] = weakref.WeakKeyDictionary()


def register_name(function: Callable[..., object], name: str) -> None:
    _names.setdefault(function, set()).add(name)


def name_of(job: str | Callable[..., object]) -> str:
    """A job's name. ValueError for a function that was registered under none, or under several."""
    if isinstance(job, str):
        return job
    if not callable(job):
        raise TypeError(f"{job!r} is no job: give a registered function, or its name")
    try:
        names = _names.get(job, set())
    except TypeError:  # what cannot be referred to weakly was never registered
        names = set()
    if len(names) == 1:
        return next(iter(names))
    if names:
        raise ValueError(
            f"{job_name(job)}() is registered as {', '.join(sorted(names))}: give the name"
        )
    raise ValueError(
        f"{job_name(job)}() is registered with no service here: put @service.job in front of it, "
        "or give the name that it has there"
    )


# --- writing


def check_key(key: bytes | None) -> None:
    if key is None:
        return
    if not isinstance(key, bytes):
        raise TypeError(f"key={type(key).__name__}: give bytes, such as secrets.token_bytes(32)")
    if len(key) < _SHORTEST_KEY:
        raise ValueError(
            f"a key of {len(key)} bytes can be guessed: give at least {_SHORTEST_KEY}, such as "
            "secrets.token_bytes(32)"
        )


def check_encoding(encoding: str, key: bytes | None) -> None:
    if encoding not in ENCODINGS:
        raise ValueError(f"encoding={encoding!r}: give 'json', 'msgpack' or 'pickle'")
    check_key(key)
    if encoding == "msgpack":
        _msgpack()
    if encoding == "pickle" and key is None:
        raise ValueError(
            "encoding='pickle' needs a key: whoever can write the file could otherwise run anything"
        )


def encode(what: Message, encoding: str, key: bytes | None) -> Encoded:
    """TypeError for what the encoding cannot say; it names the argument and the cure."""
    name, args, kwargs = what.name, what.args, what.kwargs
    if not isinstance(name, str):
        raise TypeError(f"{name!r} is no job's name: give a string")
    if encoding == "pickle":
        pickled = pickle.dumps((tuple(args), dict(kwargs)), 5)
        assert key is not None
        return name, encoding, _sign(key, name, pickled) + pickled
    _check_plain(name, encoding, args, kwargs)
    whole: Any = {"args": args, "kwargs": dict(kwargs)} if kwargs else args
    try:
        if encoding == "msgpack":
            return name, encoding, _msgpack().packb(whole, use_bin_type=True)
        text = json.dumps(whole, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return name, encoding, text.encode()
    except (ValueError, OverflowError, RecursionError) as error:
        raise TypeError(f"the arguments of {name!r} cannot be written: {error}") from None


_SCALARS = (str, bool, int, float, type(None))


def _check_plain(name: str, encoding: str, args: Any, kwargs: Mapping[str, Any]) -> None:
    scalars = (*_SCALARS, bytes) if encoding == "msgpack" else _SCALARS
    for index, value in enumerate(args):
        if type(value) not in scalars:
            _check_value(value, scalars, encoding, f"argument {index + 1} of {name!r}")
    for word, value in kwargs.items():
        if type(value) not in scalars:
            _check_value(value, scalars, encoding, f"argument {word!r} of {name!r}")


# What is equal to a scalar but of a type of its own, as an enum's member, would come back as
# something else; a tuple comes back as a list, which everybody expects of JSON.
def _check_value(value: Any, scalars: tuple[type, ...], encoding: str, where: str) -> None:
    kind = type(value)
    if kind in scalars:
        return
    if kind in (list, tuple):
        for index, each in enumerate(value):
            _check_value(each, scalars, encoding, f"{where}, at [{index}]")
    elif kind is dict:
        for each, below in value.items():
            if type(each) is not str:
                raise TypeError(
                    f"{where}: {_SAYS[encoding]} has no key {each!r}, a {type(each).__name__}: "
                    "make it a string"
                )
            _check_value(below, scalars, encoding, f"{where}, at [{each!r}]")
    else:
        raise TypeError(
            f"{where}: {_SAYS[encoding]} cannot say {kind.__module__}.{kind.__qualname__}: "
            f"{_CURES.get(kind.__name__, 'send what it can be made of again')}, or use "
            "encoding='pickle' with a key"
        )


_SAYS = {"json": "JSON", "msgpack": "MessagePack"}
_CURES = {
    "set": "send sorted(…)",
    "frozenset": "send sorted(…)",
    "datetime": "send its isoformat()",
    "date": "send its isoformat()",
    "timedelta": "send its total_seconds()",
    "Decimal": "send str(…)",
    "UUID": "send str(…)",
    "bytes": "send its hex(), or use encoding='msgpack'",
    "ndarray": "send its tolist(), or the name of a file",
    "PosixPath": "send str(…)",
}


def _msgpack() -> Any:
    try:
        import msgpack
    except ImportError:
        raise ImportError(
            "encoding='msgpack' needs the package msgpack: pip install 'hardstop[msgpack]'"
        ) from None
    return msgpack


# --- signatures


def _sign(key: bytes, name: str, pickled: bytes) -> bytes:
    """Of the name, too: a pickle that was signed for one job is not good for another."""
    import hmac

    told = name.encode()
    return hmac.digest(key, len(told).to_bytes(8, "big") + told + pickled, "sha256")


def checked_pickle(name: str, arguments: bytes, key: bytes | None) -> bytes:
    """The pickle, if its signature fits. Nothing is unpickled. MessageRefusedError."""
    import hmac

    if key is None:
        raise MessageRefusedError(
            f"the arguments of {name!r} are a pickle, which can run anything, and this service has "
            "no key to check who made it"
        )
    signature, pickled = arguments[:_SIGNATURE], arguments[_SIGNATURE:]
    if not hmac.compare_digest(signature, _sign(key, name, pickled)):
        raise MessageRefusedError(
            f"the arguments of {name!r} are a pickle whose signature does not fit: made with "
            "another key, for another job, or by a stranger"
        )
    return pickled


# --- reading


def decode(encoding: str, arguments: bytes) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments. A pickle comes without its signature, which was checked."""
    try:
        if encoding == "pickle":
            args, kwargs = pickle.loads(arguments)
            return args, kwargs
        if encoding == "msgpack":
            whole = _msgpack().unpackb(arguments, raw=False)
        else:
            whole = json.loads(arguments, parse_constant=_no_constant)
    except Exception as error:
        kind = type(error).__name__
        raise MessageRefusedError(f"the arguments cannot be read: {kind}: {error}") from None
    if isinstance(whole, list):
        return tuple(whole), {}
    if isinstance(whole, dict) and whole.keys() <= {"args", "kwargs"}:
        args, kwargs = whole.get("args", []), whole.get("kwargs", {})
        if isinstance(args, list) and isinstance(kwargs, dict):
            return tuple(args), kwargs
    raise MessageRefusedError('the arguments are neither an array nor {"args": […], "kwargs": {…}}')


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


# --- in a worker

_signatures: dict[bytes, inspect.Signature | None] = {}


def _signature_of(blob: bytes, function: Callable[..., object]) -> inspect.Signature | None:
    if blob not in _signatures:
        try:
            _signatures[blob] = inspect.signature(function)
        except (TypeError, ValueError):  # written in C, perhaps
            _signatures[blob] = None
    return _signatures[blob]


def _use_tmpdir(path: str) -> None:
    if path:
        os.environ["TMPDIR"] = tempfile.tempdir = path


def run_message(blob: bytes, name: str, encoding: str, arguments: bytes, tmpdir: str) -> None:
    """A service's job: what is found under the blob, called with what was sent."""
    _use_tmpdir(tmpdir)
    function = load_function(blob)
    args, kwargs = decode(encoding, arguments)
    signature = _signature_of(blob, function)
    if signature is not None:
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            raise MessageRefusedError(
                f"the arguments do not fit {name}{signature}: {error}"
            ) from None
    try:
        function(*args, **kwargs)
    except MessageRefusedError:
        raise
    except Exception:
        # The service tells its source in one line; here is all of it.
        _logger.error(
            "job %s raised",
            name,
            exc_info=True,
            extra={"hardstop": {"event": "job_raised", "name": name}},
        )
        raise
