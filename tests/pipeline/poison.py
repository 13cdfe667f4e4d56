"""Functions that misbehave, for a child process to import."""

import os
import re
import signal
import sys
import time


def obey(command: str) -> str | None:
    """Does what the command says, or returns it in capitals."""
    match command:
        case "hang":
            time.sleep(60)
        case "spin":
            re.match(r"(a+)+$", "a" * 40 + "!")
        case "abort":
            os.abort()
        case "exit":
            sys.exit(3)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        case "burst":
            bytearray(100 * 2**30)
        case "grow":
            hoard = []
            while True:
                hoard.append(b"x" * 2**20 * 8)
        case "raise":
            raise KeyError("no such thing")
        case "recurse":
            return obey_again(command)
        case "nothing":
            return None
        case "pid":
            return str(os.getpid())
        case "hoard":
            KEPT.append(b"x" * (60 * 2**20))
    return command.upper()


KEPT: list[bytes] = []


def obey_again(command: str) -> str | None:
    return obey(command)


def size(body: bytes) -> int:
    return len(body)


def lie(command: str) -> str | None:
    return [command]  # type: ignore[return-value]
