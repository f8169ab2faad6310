"""For every test, before torch is loaded."""

import os
from functools import lru_cache

import httpx._transports.default as transports

from tests import processes, warm

# Several processes with torch share few cores in the tests: their threads must not spin.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# Each call of httpx.get makes a TLS context, which takes longer than the answer of a local server.
transports.create_ssl_context = lru_cache(transports.create_ssl_context)

# Most of a start is reading libraries, and there are hundreds of starts.
processes.nursery = lru_cache(lambda: warm.Nursery(processes.ROOT))
