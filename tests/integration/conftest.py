"""Stacks of real servers, and our own processes on top of them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from pydantic_settings import SettingsConfigDict
from uuid_utils.compat import uuid7

from captioner import jobs, schema
from captioner.clock import now
from captioner.database import Database
from captioner.errors import ImageTruncated
from captioner.settings import Settings
from captioner.work import Order, Picture
from models import Blob
from tests import processes, stacks
from tests.integration.rows import model_of

SHA = "a" * 64


class StackSettings(Settings):
    """Settings from a stack's variables alone, whatever the environment of the test run says."""

    model_config = SettingsConfigDict(env_prefix="CAPTIONER_TESTS_READ_NO_ENVIRONMENT_")


def settings_of(stack: stacks.Stack, **changes: object) -> Settings:
    values = {k.removeprefix("CAPTIONER_").lower(): v for k, v in stack.environment.items()}
    return StackSettings(**{**values, "model": "scenes", "models": ("scenes",), **changes})


@pytest.fixture(scope="session", params=stacks.NAMES)
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    """A database with our tables and a broker, both empty at first, shared by the session."""
    folder = tmp_path_factory.mktemp(request.param)
    with stacks.started(request.param, folder) as started:
        schema.upgrade(settings_of(started))
        yield started


@pytest.fixture
def database(stack: stacks.Stack) -> Iterator[Database]:
    opened = Database(stack.database_url)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def service(stack: stacks.Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a running API with one worker for `scenes`, gone when its module ends."""
    folder: Path = tmp_path_factory.mktemp("service")
    with processes.service(stack.environment, folder) as base:
        yield base


@pytest.fixture
def http(service: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service, timeout=120) as client:
        yield client


@pytest.fixture
def make(database: Database) -> Callable[..., UUID]:
    """A job with so many images, of which some are refused; of a model of its own, or this one."""

    def made(images: int, *, refused: int = 0, model: str | None = None, **order: object) -> UUID:
        job_id = uuid7()
        of = model or model_of(job_id)
        pictures = [Picture(f"{n}.png", SHA) for n in range(images - refused)]
        pictures += [Picture("bad", None, ImageTruncated("cut"))] * refused
        with database.write() as session:
            if session.get(Blob, SHA) is None:
                session.add(
                    Blob(
                        sha256=SHA,
                        media_type="image/png",
                        bytes=1,
                        width=8,
                        height=8,
                        created_at=now(),
                    )
                )
            jobs.create(session, [(Order(job_id, of, **order), pictures)])
        return job_id

    return made
