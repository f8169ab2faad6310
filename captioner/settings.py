"""Everything an operator can set, read once from `CAPTIONER_*` and typed.

A value that makes no sense is refused at start, by name and value. Addresses that are not set are
derived from `data_dir`, so that one folder is enough on one machine.
"""

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from captioner import addresses
from captioner.agreement import contradictions
from captioner.operator_settings import Access, Operating
from captioner.outbound.rules import Rules
from captioner.setting_groups import (
    Keeping,
    Models,
    Requests,
    Styling,
    Thumbnails,
    Webhooks,
)
from captioner.setting_names import Address
from captioner.webhooks.secret import is_secret

KNOWN_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIC")
REDIS = ("redis", "rediss", "unix")
SCHEMES = {
    "database_url": ("sqlite", "postgresql+psycopg"),
    "redis_url": REDIS,
    "broker_url": (*REDIS, "redis+socket", "amqp", "amqps"),
}
"""How the addresses of servers begin."""


class Settings(Operating, Webhooks, Styling, Keeping, Access, Thumbnails, Requests, Models):
    """All settings. `CAPTIONER_MAX_IMAGES=10` sets `max_images`, and so on."""

    model_config = SettingsConfigDict(
        env_prefix="CAPTIONER_",
        extra="ignore",
        populate_by_name=True,
        frozen=True,
        hide_input_in_errors=True,  # some are secret
        validate_by_name=True,  # also where the environment has other names for it
    )

    # Where things are
    data_dir: Path = Field(Path("captioner-data"), description="Folder for everything local.")
    database_url: Address = Field(
        "", description="SQLAlchemy URL. Empty: SQLite in data_dir. Postgres: postgresql+psycopg://"
    )
    redis_url: Address = Field(
        "redis://127.0.0.1:6379/0",
        description="Redis or Valkey, for wake-ups and remembered captions (and the queue).",
    )
    broker_url: Address = Field("", description="Celery broker: redis or amqp. Empty: redis_url.")
    blob_url: Address = Field(
        "", description="fsspec URL of the picture store. Empty: in data_dir."
    )

    # Addresses that clients name
    outbound_allow: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="What may be called beyond the public internet, comma-separated: networks and "
        "host names, with a port or `:*` where 80 and 443 are not meant.",
    )
    url_timeout_s: float = Field(15, gt=0, le=120, description="Wall time to fetch one URL.")
    url_max_redirects: int = Field(3, ge=0, le=10, description="Redirects followed for one URL.")
    url_attempts: int = Field(
        4, ge=1, le=20, description="Tries to fetch a picture whose host is away."
    )
    fetch_concurrency: int = Field(
        8, ge=1, le=128, description="Pictures that a worker fetches by URL at once."
    )

    # Room in the queue
    max_queued: int = Field(100_000, ge=1, description="Unfinished pictures, of all callers.")
    max_queued_per_caller: int = Field(
        50_000, ge=1, description="Unfinished pictures of one caller."
    )
    keep_keys_s: float = Field(
        86_400, gt=0, description="How long an Idempotency-Key stands for its job."
    )

    # The door
    host: str = Field("127.0.0.1", description="Address that the API binds.")
    trusted_proxies: int = Field(
        0, ge=0, le=8, description="Proxies in front, whose X-Forwarded-For tells the caller."
    )
    port: int = Field(8000, ge=1, le=65_535, description="Port that the API binds.")
    api_processes: int = Field(2, ge=1, le=64, description="Gunicorn processes.")
    api_threads: int = Field(
        512, ge=2, le=4096, description="Threads in each API process, at most."
    )
    max_waiters: int = Field(
        400, ge=1, description="Blocking calls and streams that one API process holds."
    )
    wait_s: float = Field(60, ge=0, description="Default wait of a blocking call.")
    max_wait_s: float = Field(300, gt=0, description="Longest wait of a blocking call.")

    # The work
    max_batch: int = Field(
        16, ge=1, le=512, description="Images in one engine batch. Unset: as suits the model."
    )
    worker_concurrency: int = Field(0, ge=0, description="Task threads. 0: 2 x max_batch.")
    decode_processes: int = Field(2, ge=1, le=64, description="Child processes that decode.")
    decode_timeout_s: float = Field(10, gt=0, description="Wall time for one picture's decoding.")
    decode_memory_bytes: int = Field(
        2 * 2**30, ge=2**28, description="Memory of a child beyond its own size."
    )
    lease_s: float = Field(60, ge=1, description="How long a claim holds without renewal.")
    hang_s: float = Field(
        300, gt=0, description="A worker whose batch runs longer than this ends itself."
    )
    drain_s: float = Field(
        25, gt=0, description="A worker that was told to end has ended after this long."
    )
    max_attempts: int = Field(3, ge=1, le=20, description="Claims before an image is given up.")
    retry_s: float = Field(
        3600, ge=0, description="How long a picture waits for a part of the service that is away."
    )
    message_images: int = Field(32, ge=1, le=256, description="Images that one message names.")
    reconcile_s: float = Field(5, gt=0, description="Seconds between two looks for lost work.")
    heartbeat_s: float = Field(5, gt=0, description="Seconds between two signs of life.")

    @field_validator(
        "models",
        "image_formats",
        "outbound_allow",
        "webhook_secrets",
        "webhook_schedule_s",
        "cors_origins",
        mode="before",
    )
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("image_formats")
    @classmethod
    def _formats_known(cls, formats: tuple[str, ...]) -> tuple[str, ...]:
        upper = tuple(name.upper() for name in formats)
        unknown = sorted(set(upper) - set(KNOWN_FORMATS))
        if unknown:
            raise ValueError(f"{', '.join(unknown)} not among {', '.join(KNOWN_FORMATS)}")
        return upper

    @field_validator("outbound_allow")
    @classmethod
    def _entries_clear(cls, entries: tuple[str, ...]) -> tuple[str, ...]:
        Rules(entries)
        return entries

    @field_validator("webhook_secrets")
    @classmethod
    def _secrets_usable(cls, given: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for number, secret in enumerate(given, start=1):
            if not is_secret(secret.get_secret_value()):
                raise ValueError(
                    f"number {number} is not 'whsec_' with 24 to 64 bytes in base64; "
                    "make one with: captioner webhooks secret"
                )
        return given

    @field_validator("database_url", "redis_url", "broker_url")
    @classmethod
    def _server_known(cls, url: str, info: ValidationInfo) -> str:
        if url or info.field_name == "redis_url":
            addresses.check(url, SCHEMES[info.field_name or ""])
        return url

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if wrong := "; ".join(contradictions(self)):
            raise ValueError(wrong)
        return self

    @property
    def database(self) -> str:
        """The database URL in force."""
        return self.database_url or f"sqlite:///{self.data_dir.absolute() / 'captioner.db'}"

    @property
    def broker(self) -> str:
        """The broker URL in force, as Celery takes it."""
        return addresses.for_celery(self.broker_url or self.redis_url)

    @property
    def blobs(self) -> str:
        """The blob store's URL in force."""
        return self.blob_url or f"file://{self.data_dir.absolute() / 'blobs'}"

    @property
    def served_models(self) -> tuple[str, ...]:
        """Names of the models that requests may ask for."""
        return self.models or tuple(dict.fromkeys((self.model, "scenes")))

    @property
    def concurrency(self) -> int:
        """Task threads of a worker: twice the batch, so that the next one gathers meanwhile."""
        return self.worker_concurrency or 2 * self.max_batch


@lru_cache(maxsize=1)
def load() -> Settings:
    """The settings of this process, read from the environment once."""
    return Settings()
