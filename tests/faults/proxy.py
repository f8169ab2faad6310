"""A TCP proxy that can be cut, closed and stalled: a network, and a server, that go away."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress

CHUNK = 65_536


class Proxy:
    """Forwards 127.0.0.1:`port` to a server. It runs in a thread of its own."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._writers: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()
        self._refusing = False
        self.before: Callable[[bytes], None] | None = None
        """Called with what a client sends, before the server gets it."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        self.port = int(self._server.sockets[0].getsockname()[1])

    def cut(self) -> None:
        """Close every connection; new ones are taken."""
        self._call(self._cut)

    def refuse(self) -> None:
        """Close every connection, and each new one at once, until `accept`."""
        self._refusing = True
        self.cut()

    def accept(self) -> None:
        """Take connections again."""
        self._refusing = False

    def stall(self) -> None:
        """Keep connections, but let nothing through until `flow`: half-open, as seen by both."""
        self._call(self._flowing.clear)

    def flow(self) -> None:
        """Let everything through again."""
        self._call(self._flowing.set)

    def close(self) -> None:
        """End it, and its connections."""
        self._call(self._server.close)
        self.refuse()
        self._call(self._loop.stop)
        self._thread.join(timeout=5)

    def _call(self, action) -> None:
        self._loop.call_soon_threadsafe(action)

    def _cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _listen(self) -> asyncio.Server:
        self._flowing.set()
        return await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            writer.transport.abort()
            return
        try:
            there, back = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, back}
        await asyncio.gather(
            self._pump(reader, back, asking=True), self._pump(there, writer, asking=False)
        )

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, asking: bool
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                await self._flowing.wait()
                if asking and self.before is not None:
                    await asyncio.to_thread(self.before, data)
                writer.write(data)
                await writer.drain()
        self._writers.discard(writer)
        writer.close()
