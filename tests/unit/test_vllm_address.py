"""How an operator names a model that a vLLM server runs."""

import subprocess
import sys

import pytest
from pydantic import ValidationError

from captioner import catalog
from captioner.options import ASKING
from captioner.settings import Settings
from captioner.vllm import Address
from cli.trouble import explain
from tests.processes import ROOT
from tests.vllm_server import serving


@pytest.mark.parametrize(
    ("source", "url", "model"),
    [
        ("vllm:http://gpu-box:8000", "http://gpu-box:8000/v1", None),
        ("vllm:http://gpu-box:8000/", "http://gpu-box:8000/v1", None),
        ("vllm:http://gpu-box:8000/v1#google/gemma-3-4b-it", "http://gpu-box:8000/v1",
         "google/gemma-3-4b-it"),
        ("vllm:https://models.example/gemma/v1/", "https://models.example/gemma/v1", None),
        ("vllm:http://[::1]:8000#mine", "http://[::1]:8000/v1", "mine"),
    ],
)  # fmt: skip
def test_an_address_is_read(source: str, url: str, model: str | None) -> None:
    assert Address.parse(source) == Address(url, model)


@pytest.mark.parametrize(
    "source",
    [
        "vllm:",
        "vllm:gpu-box:8000",
        "vllm:ftp://gpu-box/",
        "vllm:http://",
        "vllm:http://gpu-box:99999",
        "vllm:http://gpu-box:0",
        "vllm:http://me:secret@gpu-box:8000",
        "vllm:http://gpu-box:8000/v1?model=mine",
    ],
)
def test_what_is_no_address_is_refused_by_name_and_not_shown(source: str) -> None:
    with pytest.raises(ValidationError, match="'mine'") as raised:
        Settings(_env_file=None, model_sources={"mine": source})
    said = explain(raised.value)
    assert said is not None
    assert said.startswith("CAPTIONER_MODEL_SOURCES=…: ")
    assert "secret" not in said


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "schlüssel"])
def test_a_key_that_no_header_can_have_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Settings(_env_file=None, vllm_key=key)
    assert key not in str(explain(raised.value))


def test_an_empty_key_is_none() -> None:
    assert Settings(_env_file=None, vllm_key="").vllm_key is None


def test_the_wait_for_a_server_is_shorter_than_that_for_an_engine() -> None:
    asked = {"gemma": "vllm:http://box:8000"}
    with pytest.raises(ValidationError, match="CAPTIONER_VLLM_TIMEOUT_S"):
        Settings(_env_file=None, model_sources=asked, vllm_timeout_s=300, hang_s=300)


def test_who_asks_no_server_need_not_wait_less_than_for_an_engine() -> None:
    assert Settings(_env_file=None, hang_s=3).hang_s == 3


def test_a_built_in_name_may_be_served_by_a_server() -> None:
    settings = Settings(
        _env_file=None, models=("gemma",), model_sources={"gemma": "vllm:http://gpu-box:8000"}
    )
    entry = catalog.find("gemma", settings)
    assert (entry.kind, entry.limits) == ("vllm", ASKING)
    assert "gpu-box" not in entry.description


def test_a_worker_of_such_models_loads_no_torch() -> None:
    with serving() as server:
        code = (
            "import sys\n"
            "from captioner.settings import Settings\n"
            "from worker.engines.house import EngineHouse\n"
            f"sources = {{'gemma': {server.source!r}}}\n"
            "settings = Settings(model='gemma', models=('gemma',), model_sources=sources)\n"
            "house = EngineHouse(settings)\n"
            "import worker.pipeline, worker.runtime\n"
            "with house.using('gemma') as resident:\n"
            "    print(resident.version)\n"
            "house.close()\n"
            "assert 'torch' not in sys.modules\n"
        )
        ran = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
        )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("vllm:google/gemma-3-4b-it vllm vLLM (1024 pixels) ")
