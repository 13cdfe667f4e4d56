"""A link on its way over redirects and attempts, or the robots.txt that it waits for."""

from dataclasses import dataclass, field

from pipeline.fetch.http.target import Origin, Target
from pipeline.fetch.job import Job
from pipeline.fetch.outcome import Failure
from pipeline.fetch.politeness.robots import Rules
from pipeline.fetch.redirects import redirect_target
from pipeline.settings import Fetch, Links

__all__ = ["Visit"]


@dataclass(slots=True)
class Visit:
    """A link on its way to an outcome.

    row: of the link in its job's pages; None for a robots.txt or a tdmrep.json.
    """

    job: Job
    row: int | None
    target: Target
    origin: Origin  # for a robots.txt: the origin whose rules it decides, wherever it was redirected to
    hops: int = 0
    via: str | None = None  # the URL that redirected here
    attempts: int = 0  # failed ones
    seconds: float = 0.0  # on the wire, over all attempts and hops
    rules: Rules | None = None  # for a tdmrep.json: of the robots.txt asked for before
    seen: set[str] = field(default_factory=set)  # URLs of the chain

    def robots(self) -> "Visit":
        """The visit to the robots.txt that this one waits for."""
        return Visit(self.job, None, self.target.at("/robots.txt"), self.target.origin)

    def follow(self, location: str, settings: Fetch, filters: Links) -> Failure | None:
        """Turns to a redirect's target, or tells why not. filters: as for `redirect_target`."""
        if self.hops >= settings.max_redirects:
            return Failure("too_many_redirects", f"more than {settings.max_redirects}")
        try:
            target = redirect_target(self.target, location, filters)
        except Failure as failure:
            return failure
        if target.url in self.seen:
            return Failure("too_many_redirects", f"a loop at {target.url[:200]}")
        if self.seconds >= settings.deadline:
            return Failure("timeout", "not complete within the deadline")
        self.seen.add(target.url)
        self.redirect(target)
        return None

    def redirect(self, target: Target) -> None:
        """Goes one hop further."""
        self.hops += 1
        self.via, self.target = self.target.url, target
