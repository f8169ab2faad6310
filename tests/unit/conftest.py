"""What several unit tests start."""

from collections.abc import Iterator

import pytest

from captioner.images import ImageLimits
from captioner.settings import Settings
from worker.decode_pool import DecodePool


@pytest.fixture(scope="module")
def decoders() -> Iterator[DecodePool]:
    limits = ImageLimits.from_settings(Settings())
    with DecodePool(limits=limits, processes=1, timeout_s=10, memory_bytes=2**30) as pool:
        yield pool
