"""A hostile web on 127.0.0.1: real sockets, faults by name, and a log of what was asked and when."""

from tests.web.faults import FAULTS
from tests.web.server import Page, Request, Server, flaky, page

__all__ = ["FAULTS", "Page", "Request", "Server", "flaky", "page"]
