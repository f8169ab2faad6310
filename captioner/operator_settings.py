"""Settings of who may come in, and of what is told of a running service."""

import re
from typing import Annotated, Literal

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode

from captioner import addresses
from captioner.setting_names import Address


class Access(BaseSettings):
    """Who may do what, and how much of it."""

    auth: Literal["auto", "required", "off"] = Field(
        "auto",
        description="Whether API keys are asked for. auto: not on loopback, and else the API does "
        "not start before there is a key.",
    )
    api_key: SecretStr | None = Field(
        None, description="One key with every scope, besides those of `captioner keys`. "
        "At least 16 characters."
    )  # fmt: skip
    debug: bool = Field(False, description="Whether /api/admin/ is open to all, on loopback only.")
    metrics_open: bool = Field(
        False, description="Whether /metrics is told without a key where keys are asked for."
    )
    rate_limit: str = Field(
        "", description="Requests of one key, or of one address where there are no keys: "
        "`600/minute`, or several with `;` between. Empty: no limit."
    )  # fmt: skip
    rate_window: Literal["moving", "fixed"] = Field(
        "moving",
        description="moving: of any such time; fixed: of one that begins with a request, cheaper.",
    )
    auth_failures: str = Field(
        "30/minute", description="Wrong keys that one address may show. Empty: no limit."
    )
    quota_images_per_day: int = Field(
        0, ge=0, description="Pictures that one key may send in a day. 0: no limit."
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Origins whose pages may call the API, comma-separated: "
        "`https://app.example`."
    )  # fmt: skip
    hsts_s: int = Field(
        0, ge=0, description="Seconds of Strict-Transport-Security. 0: not sent; for TLS only."
    )

    @field_validator("api_key")
    @classmethod
    def _admin_key_usable(cls, key: SecretStr | None) -> SecretStr | None:
        text = key.get_secret_value() if key else ""
        if text and not re.fullmatch(r"[\x21-\x7e]{16,256}", text):
            raise ValueError("it is not 16 to 256 printable ASCII characters without spaces")
        return key if text else None

    @field_validator("rate_limit", "auth_failures")
    @classmethod
    def _limit_clear(cls, text: str) -> str:
        from limits import parse_many  # slow to load, and most commands need it not

        try:
            parse_many(text) if text.strip() else None
        except ValueError as error:
            raise ValueError(f"{text!r} is no limit such as '600/minute'") from error
        return text.strip()

    @field_validator("cors_origins")
    @classmethod
    def _origins_exact(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if not re.fullmatch(r"https?://[A-Za-z0-9.\[\]:-]+", origin):
                raise ValueError(f"{origin!r} is no origin such as 'https://app.example'")
        return tuple(origin.lower() for origin in origins)


class Operating(BaseSettings):
    """How a process tells how it is."""

    worker_metrics_port: int = Field(
        0,
        ge=0,
        le=65_535,
        description="Port on which a worker tells Prometheus of itself; of several on one machine, "
        "the next ones take the next ports. 0: none.",
    )
    worker_metrics_host: str = Field(
        "127.0.0.1", description="Address that a worker's metrics bind."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="The least of the lines that are logged."
    )
    otlp_endpoint: Address = Field(
        "",
        validation_alias=AliasChoices("captioner_otlp_endpoint", "otel_exporter_otlp_endpoint"),
        description="Where traces are sent, by OTLP over HTTP; or OTEL_EXPORTER_OTLP_ENDPOINT. "
        "An http or https URL. Empty: no traces.",
    )
    log_format: Literal["auto", "json", "text"] = Field(
        "auto", description="Form of a log line. auto: text on a terminal, else json."
    )

    @field_validator("otlp_endpoint")
    @classmethod
    def _endpoint_clear(cls, url: str) -> str:
        if url:
            addresses.check(url, ("http", "https"))
        return url
