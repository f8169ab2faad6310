"""gunicorn's own lines, in the format of ours, and what a line says of the request it is about."""

import re
from typing import Any

from flask import g, has_request_context
from gunicorn.glogging import Logger  # type: ignore[import-untyped]

from captioner import tracing
from captioner.logs import Marks

QUOTED = re.compile(r"(Invalid request from ip=\S+: [^:'\"]*).*", re.DOTALL)


class Lines(Logger):  # type: ignore[misc] # gunicorn has no types
    """gunicorn's logger, without handlers of its own: the root's are used.

    What a client sent is not repeated: keys and prompts may be in a query, or in a broken line.
    """

    def setup(self, cfg: Any) -> None:
        """Called by gunicorn once in each process."""
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True

    def debug(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """As gunicorn's, but for the line of each request, which has its path."""
        if msg != "%s %s":
            super().debug(msg, *args, **kwargs)

    def warning(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """As gunicorn's, up to where it quotes a request."""
        super().warning(QUOTED.sub(r"\1", msg), *args, **kwargs)

    def exception(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """As gunicorn's; its only argument is an address, shown without its query."""
        super().exception(msg, *(str(each).partition("?")[0] for each in args), **kwargs)


def marks() -> Marks:
    """The request that is being answered here, if one is."""
    if not has_request_context():
        return {}
    # A traceparent is version-trace-span-flags.
    trace_id = tracing.here()[3:35] or None
    return {"request_id": g.get("request_id"), "trace_id": trace_id}
