"""Settings by what they are about. `captioner.settings.Settings` is all of them, and says more."""

import json
import re
from typing import Annotated, Literal

from pydantic import AliasChoices, Field, PositiveFloat, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode

from captioner import addresses, revisions, vllm
from captioner.setting_names import Address, MayHoldPassword

DAY_S = 24 * 3600.0


class Models(BaseSettings):
    """Which networks there are, and how they run."""

    model: str = Field("blip", description="Model used when a request names none.")
    models: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Models served, comma-separated. Empty: the default model and scenes."
    )
    model_sources: Annotated[dict[str, str], NoDecode, MayHoldPassword] = Field(
        default_factory=dict,
        description='More models, as JSON: {"name": "folder or hub id"}, or "vllm:URL" for one '
        "that a vLLM server runs.",
    )
    model_capacity: int = Field(
        0, ge=0, description="Models loaded at once in a worker, the others on demand. 0: all."
    )
    model_turn_s: float = Field(
        30, gt=0, description="Seconds that a loaded model goes on while another waits for a place."
    )
    model_revision: str = Field(
        "main",
        description="Hub revision (branch, tag or commit); of several models each by its name: "
        "blip=main,blip2=v2.",
    )
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N.")
    engine: Literal["auto", "reference", "torch", "openvino"] = Field(
        "auto",
        description="What runs BLIP. reference: transformers' own generate; torch: our loop; "
        "openvino: our loop on OpenVINO (CPU). auto: openvino on a CPU where it is installed.",
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16", "int8"] = Field(
        "auto",
        description="Number format. int8: with openvino. auto: bfloat16 where GPU or processor "
        "(with openvino) have it.",
    )
    fast_decode: bool = Field(
        False,
        description="Decode large JPEGs at a half, a quarter or an eighth of their size, never "
        "below twice what the model sees. Quicker; pixels differ a little.",
    )
    max_new_tokens: int = Field(
        20, ge=1, le=512, description="Longest caption, in tokens. Chat models may take 192."
    )
    vllm_key: SecretStr | None = Field(
        None, description="What vLLM servers ask for as their API key. Empty: nothing."
    )
    vllm_timeout_s: float = Field(
        120, gt=0, description="Longest wait for a vLLM server's caption."
    )

    @field_validator("device")
    @classmethod
    def _device_named(cls, device: str) -> str:
        if not re.fullmatch(r"auto|cpu|cuda(:[0-9]{1,2})?", device):
            raise ValueError("it is not auto, cpu, cuda or cuda:N")
        return device

    @field_validator("model_sources", mode="before")
    @classmethod
    def _decoded(cls, given: object) -> object:
        if not isinstance(given, str):
            return given
        try:
            return json.loads(given) if given.strip() else {}
        except ValueError as error:
            raise ValueError(f"it is not JSON: {error}") from None

    @field_validator("model_sources")
    @classmethod
    def _addresses_clear(cls, sources: dict[str, str]) -> dict[str, str]:
        for name, source in sources.items():
            if vllm.is_address(source):
                try:
                    vllm.Address.parse(source)
                except ValueError as error:
                    raise ValueError(f"the source of {name!r}: {error}") from None
        return sources

    @field_validator("model_revision")
    @classmethod
    def _revisions_clear(cls, given: str) -> str:
        revisions.parse(given)
        return given

    @field_validator("vllm_key")
    @classmethod
    def _key_usable(cls, key: SecretStr | None) -> SecretStr | None:
        return _usable(key)


def _usable(key: SecretStr | None) -> SecretStr | None:
    """A key that a header can have; `None` for an empty one."""
    text = key.get_secret_value() if key else ""
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise ValueError("it has other characters than a header may have")
    return key if text else None


class Styling(BaseSettings):
    """Who writes styled captions, and how long that may take."""

    styler: Literal["gemini", "openai", "local"] = Field(
        "gemini", description="Who writes styled captions when a request names nobody."
    )
    gemini_api_key: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices(
            "CAPTIONER_GEMINI_API_KEY", "GOOGLE_API_KEY", "GEMINI_API_KEY"
        ),
        description="Key of the Gemini API. Unset: GOOGLE_API_KEY, else GEMINI_API_KEY. Empty: "
        "no Gemini.",
    )
    gemini_model: str = Field(
        "gemini-flash-latest",
        min_length=1,
        description="Gemini's or Gemma's name there: gemini-2.5-flash, gemma-3-27b-it.",
    )
    gemini_url: Address = Field(
        "https://generativelanguage.googleapis.com", description="Address of the Gemini API."
    )
    openai_url: Address = Field(
        "",
        description="Address of a server that speaks OpenAI's API, up to and with /v1, such as "
        "Ollama's http://127.0.0.1:11434/v1. Empty: none.",
    )
    openai_key: SecretStr | None = Field(
        None, description="What that server asks for as its API key. Empty: nothing."
    )
    openai_model: str = Field("", description="The model that is asked there.")
    style_model: str = Field(
        "", description="Chat model of the styler `local`. Empty: the first that is served."
    )
    style_timeout_s: float = Field(
        15, gt=0, le=600, description="Wall time for one picture's styles, retries and all."
    )
    style_concurrency: int = Field(
        8, ge=1, le=128, description="Pictures that a worker has styled at once."
    )

    @field_validator("gemini_api_key", "openai_key")
    @classmethod
    def _keys_usable(cls, key: SecretStr | None) -> SecretStr | None:
        return _usable(key)

    @field_validator("gemini_url", "openai_url")
    @classmethod
    def _urls_clear(cls, url: str) -> str:
        parts = addresses.split(url)
        if url and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise ValueError("it is no http or https URL")
        if parts.username is not None or parts.password is not None or parts.query:
            raise ValueError("it has a user, a password or a query; there is a setting for the key")
        return url.rstrip("/")


class Requests(BaseSettings):
    """What a request may bring."""

    max_images: int = Field(1000, ge=1, le=10_000, description="Pictures in one request.")
    max_body_bytes: int = Field(128 * 2**20, ge=1024, description="Bytes of one request body.")
    max_json_bytes: int = Field(
        32 * 2**20, ge=1024, description="Bytes of a JSON body; a form may have max_body_bytes."
    )
    max_bodies_bytes: int = Field(
        256 * 2**20, ge=1024, description="Bytes of bodies that one API process holds in memory."
    )
    max_image_bytes: int = Field(15_000_000, ge=1, description="Bytes of one picture file.")
    max_image_pixels: int = Field(40_000_000, ge=64, description="Width times height.")
    max_image_side: int = Field(16_384, ge=8, description="Longest side, in pixels.")
    min_image_side: int = Field(8, ge=1, description="Shortest side, in pixels.")
    max_prompt_chars: int = Field(500, ge=1, description="Characters of a prompt.")
    image_formats: Annotated[tuple[str, ...], NoDecode] = Field(
        ("JPEG", "PNG", "WEBP", "GIF", "BMP"),
        description="Formats accepted, by content. TIFF, AVIF and HEIC may be added.",
    )


class Thumbnails(BaseSettings):
    """What is made of the images of the pipeline."""

    thumbnail_small: int = Field(
        64, ge=16, le=1024, description="Longest side of a small thumbnail, in pixels."
    )
    thumbnail_medium: int = Field(
        128, ge=16, le=1024, description="Longest side of a medium thumbnail, in pixels."
    )

    @property
    def thumbnail_sides(self) -> dict[str, int]:
        """Name to longest side in pixels, the largest last."""
        return {"small": self.thumbnail_small, "medium": self.thumbnail_medium}


class Keeping(BaseSettings):
    """What is kept, and how long."""

    keep_jobs_s: float = Field(
        30 * DAY_S, ge=0, description="Seconds that a job is kept after its end. 0: for ever."
    )
    keep_blobs_s: float = Field(
        7 * DAY_S,
        ge=0,
        description="Seconds that pictures are kept after the end of their jobs. 0: as the jobs.",
    )
    keep_unfetched_s: float = Field(
        DAY_S, gt=0, description="Seconds that a result sent with store=false waits to be fetched."
    )
    cache_ttl_s: float = Field(
        7 * DAY_S, ge=0, description="Seconds that captions are remembered. 0: not at all."
    )
    keep_deleted_s: float = Field(
        90 * DAY_S, gt=0, description="Seconds that it is remembered that a job was deleted."
    )
    keep_orphans_s: float = Field(
        DAY_S,
        ge=10,
        description="Seconds that a picture file may lie in the store that no row knows.",
    )


class Webhooks(BaseSettings):
    """How webhooks are sent."""

    webhook_secrets: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (), description="Secrets that webhooks are signed with, newest first. Empty: no webhooks."
    )
    webhook_schedule_s: Annotated[tuple[PositiveFloat, ...], NoDecode] = Field(
        (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400, 86_400),
        description="Seconds before the second attempt, the third, and so on.",
    )
    webhook_timeout_s: float = Field(15, gt=0, le=30, description="Longest wait for a receiver.")
    webhook_concurrency: int = Field(8, ge=1, le=256, description="Webhooks that a worker sends.")
