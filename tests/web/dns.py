"""A name server on loopback, over UDP, that may answer the same question differently each time."""

import contextlib
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset


class NameServer:
    """Answers from `names`: name -> the addresses of each answer in turn, the last for ever.

    An unknown name does not exist. `None` in place of addresses is no answer at all. No address of IPv4
    is told before `ready` returns True. `failing`: a name and a type ("A", "AAAA") -> the error that answers
    it, None for silence.
    """

    def __init__(
        self,
        names: dict[str, list[list[str] | None]],
        ttl: int,
        ready: Callable[[], bool] = lambda: True,
        failing: dict[tuple[str, str], dns.rcode.Rcode | None] | None = None,
    ) -> None:
        self.asked: list[str] = []  # names, for addresses of IPv4
        self._names = names
        self._failing = failing or {}
        self._turns: Counter[tuple[str, bool]] = Counter()
        self._ttl = ttl
        self._ready = ready
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        waiting: list[tuple[bytes, Any]] = []
        while True:
            self._socket.settimeout(0.01 if waiting else None)
            with contextlib.suppress(TimeoutError):
                data, client = self._socket.recvfrom(4096)
                if not data:
                    return
                query = dns.message.from_wire(data)
                if (answer := self._answer(query)) is not None:
                    if query.question[0].rdtype == dns.rdatatype.A:
                        waiting.append((answer.to_wire(), client))
                    else:
                        self._socket.sendto(answer.to_wire(), client)
            while waiting and self._ready():
                self._socket.sendto(*waiting.pop(0))

    def _answer(self, query: dns.message.Message) -> dns.message.Message | None:
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True)
        answer = dns.message.make_response(query)
        key = (name, dns.rdatatype.to_text(question.rdtype))
        if key in self._failing:
            code = self._failing[key]
            answer.set_rcode(code or dns.rcode.NOERROR)
            return answer if code else None
        if name not in self._names:
            answer.set_rcode(dns.rcode.NXDOMAIN)
            return answer
        wide = question.rdtype == dns.rdatatype.AAAA
        answers = self._names[name]
        addresses = answers[min(self._turns[name, wide], len(answers) - 1)]
        self._turns[name, wide] += 1
        if not wide:
            self.asked.append(name)
        if addresses is None:
            return None
        found = [address for address in addresses if (":" in address) == wide]
        if found:
            kind = "AAAA" if wide else "A"
            answer.answer.append(dns.rrset.from_text(question.name, self._ttl, "IN", kind, *found))
        return answer

    @contextlib.contextmanager
    def running(self) -> Iterator["NameServer"]:
        self._thread.start()
        try:
            yield self
        finally:
            self._socket.sendto(b"", self._socket.getsockname())
            self._thread.join()
            self._socket.close()
