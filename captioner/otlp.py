"""Spans by OpenTelemetry, sent by OTLP over HTTP. Imported only where traces are wanted.

The endpoint is a setting; all else (sampling, headers, certificates, limits, the service's name) is
read by OpenTelemetry from its own `OTEL_*` variables.
"""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from captioner.errors import CaptionerError
from captioner.origins import Origins
from captioner.settings import Settings
from captioner.tracing import Value
from captioner.wakeups import connect

CLOSE_S = 3.0
PATH = "/v1/traces"
HEADER = "traceparent"

_w3c = TraceContextTextMapPropagator()


class Teller:
    """Makes spans and sends them, from a thread of its own. Thread-safe."""

    def __init__(self, settings: Settings, *, service: str) -> None:
        name = Resource({"service.name": f"captioner-{service}"})
        # Not `Resource.create`, which would tell the command line.
        self._provider = TracerProvider(resource=name.merge(OTELResourceDetector().detect()))
        exporter = OTLPSpanExporter(endpoint=settings.otlp_endpoint.rstrip("/") + PATH)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("captioner")
        self.origins = Origins(connect(settings.redis_url))

    def start(
        self,
        name: str,
        *,
        origin: str = "",
        links: Sequence[str] = (),
        attributes: Mapping[str, Value] | None = None,
        at_ns: int | None = None,
    ) -> Span:
        """Begin a span that somebody ends: within `origin`, else within the current one."""
        return self._tracer.start_span(
            name,
            context=_context(origin) if origin else None,
            attributes={_named(key): value for key, value in (attributes or {}).items()},
            links=[Link(_place(each)) for each in links],
            start_time=at_ns,
        )

    @contextmanager
    def span(
        self,
        name: str,
        *,
        origin: str = "",
        links: Sequence[str] = (),
        attributes: Mapping[str, Value] | None = None,
    ) -> Iterator[None]:
        """A span for the length of the block, and current in it."""
        begun = self.start(name, origin=origin, links=links, attributes=attributes)
        # What an exception says is not for a trace: its code is.
        with trace.use_span(begun, record_exception=False, set_status_on_exception=False):
            try:
                yield
            except BaseException as error:
                fail(begun, error)
                raise
            finally:
                begun.end()

    def request(
        self, *, method: str, route: str, origin: str
    ) -> tuple[Span, AbstractContextManager[Span]]:
        """The span of a request, which the caller ends, and what makes it the current one."""
        begun = self._tracer.start_span(
            f"{method} {route}" if route else "request",
            context=_context(origin) if origin else Context(),
            kind=SpanKind.SERVER,
            attributes={"http.request.method": method, "http.route": route},
        )
        return begun, trace.use_span(begun, record_exception=False, set_status_on_exception=False)

    def mark(self, attributes: Mapping[str, Value]) -> None:
        """Say more of the current span."""
        trace.get_current_span().set_attributes(
            {_named(key): value for key, value in attributes.items()}
        )

    def here(self) -> str:
        """The origin of what is begun now."""
        return origin_of(trace.get_current_span())

    def close(self) -> None:
        """Send what is left. A receiver that is away keeps nobody from ending."""
        ending = threading.Thread(target=self._provider.shutdown, name="traces-end", daemon=True)
        ending.start()
        ending.join(CLOSE_S)


def origin_of(span: Span) -> str:
    """Its `traceparent`; empty for none."""
    carrier: dict[str, str] = {}
    _w3c.inject(carrier, trace.set_span_in_context(span))
    return carrier.get(HEADER, "")


def fail(span: Span, error: BaseException) -> None:
    """It ended with an error: of ours the code is told, of others the class."""
    code = error.code if isinstance(error, CaptionerError) else type(error).__name__
    span.set_attribute("error.type", code)
    span.set_status(Status(StatusCode.ERROR))


def now_ns() -> int:
    """The time, as spans have it."""
    return time.time_ns()


def _context(origin: str) -> Context:
    return _w3c.extract({HEADER: origin})


def _place(origin: str) -> SpanContext:
    return trace.get_current_span(_context(origin)).get_span_context()


def _named(key: str) -> str:
    return f"captioner.{key}"
