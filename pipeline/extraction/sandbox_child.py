"""The child's side of `pipeline.extraction.sandbox`: its main loop and its limits."""

import contextlib
import importlib
import resource
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, get_type_hints

import msgspec

__all__ = ["FAILED", "NO_MEMORY", "RESULT", "serve", "types"]

RESULT, NO_MEMORY, FAILED = b"r", b"m", b"e"  # the first byte of a reply


def serve(descriptor: int, module: str, name: str, deadline: float, memory_limit: int) -> None:
    """The child's main loop, until the parent closes the connection.

    descriptor: of the connection. module, name: of the function. deadline: seconds per item. memory_limit:
    bytes; twice as much is the limit of the address space.
    """
    connection = Connection(descriptor)
    try:
        function: Any = importlib.import_module(module)
        for part in name.split("."):
            function = getattr(function, part)
        decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(types(function)[0])
        _limit(memory_limit)
    except Exception as error:  # noqa: BLE001 (the parent is to know, whatever it is)
        connection.send_bytes(_describe(error))
        return
    connection.send_bytes(b"")
    while True:
        try:
            item = connection.recv_bytes()
        except EOFError:
            return
        signal.setitimer(signal.ITIMER_REAL, deadline)
        reply = _call(function, decoder, item)
        signal.setitimer(signal.ITIMER_REAL, 0)
        connection.send_bytes(reply)


def _limit(memory_limit: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends the process, in native code too
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(ValueError, OSError):  # there are systems that do not know this limit
        resource.setrlimit(resource.RLIMIT_AS, (2 * memory_limit, 2 * memory_limit))


def _call(function: Callable[[Any], Any], decoder: "msgspec.msgpack.Decoder[Any]", item: bytes) -> bytes:
    try:
        return RESULT + msgspec.msgpack.encode(function(decoder.decode(item)))
    except MemoryError:
        return NO_MEMORY
    except Exception as error:  # noqa: BLE001 (one bad item costs one item)
        return FAILED + _describe(error)


def _describe(error: Exception) -> bytes:
    return f"{type(error).__name__}: {error}"[:500].encode("utf-8", "replace")


def types(function: Callable[..., Any]) -> tuple[Any, Any]:
    """The annotations of a function's argument and of its result."""
    *arguments, (_, result) = get_type_hints(function).items()
    return arguments[0][1], result
