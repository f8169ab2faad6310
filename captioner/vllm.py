"""Where a vLLM server is and which of its models is meant, as an operator writes it.

vllm:http://gpu-box:8000                          the one model that it serves
vllm:http://gpu-box:8000#google/gemma-3-4b-it     one of several, by the name that it serves
vllm:https://models.example/gemma/v1              behind a proxy: up to and with /v1
"""

from dataclasses import dataclass
from typing import Self
from urllib.parse import urlunsplit

from captioner import addresses

SCHEME = "vllm:"


@dataclass(frozen=True)
class Address:
    """A vLLM server, and a model on it."""

    url: str
    """What its routes follow, as `/chat/completions`: it ends in `/v1`, or as it was written."""
    model: str | None
    """By the name that the server serves it; `None` for the only one."""

    @classmethod
    def parse(cls, source: str) -> Self:
        """The address that is written in a model's source. ValueError: it is none."""
        parts = addresses.split(source.removeprefix(SCHEME))
        if not is_address(source) or parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"it is not of the form {SCHEME}http://host:port#model")
        if parts.username is not None or parts.password is not None or parts.query:
            raise ValueError("its URL has a user, a password or a query; CAPTIONER_VLLM_KEY is it")
        if parts.port == 0:
            raise ValueError("its port is 0")
        path = parts.path.rstrip("/") or "/v1"
        return cls(urlunsplit((parts.scheme, parts.netloc, path, "", "")), parts.fragment or None)


def is_address(source: str) -> bool:
    """Whether a model's source names a server, and not weights."""
    return source.startswith(SCHEME)
