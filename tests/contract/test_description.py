"""Whatever is sent, the answer is one that the description foretells: schemathesis, all its checks.

The service is real, and so is its worker. Local servers take the places of Gemini and of those that
speak the API of OpenAI, so that every styler is asked. The requests show an admin key, as
`reset-cache` needs one.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from captioner.webhooks.secret import new_secret
from tests import processes, stacks
from tests.gemini_server import serving as serving_gemini
from tests.openai_server import KEY as OPENAI_KEY
from tests.openai_server import MODEL as OPENAI_MODEL
from tests.openai_server import serving as serving_openai
from tests.vllm_server import serving as serving_vllm

EXAMPLES = 5_000
"""So many requests at least."""
EACH = 110
"""Drawn for each operation, besides those that cover its description part by part."""
KEY = "schemathesis-admin-key"


@pytest.fixture(scope="module")
def base(stack: stacks.Stack, tmp_path_factory: pytest.TempPathFactory):
    with serving_gemini() as gemini, serving_openai() as openai, serving_vllm() as vllm:
        more = {
            "CAPTIONER_MODELS": "scenes,gemma",  # a chat model, so that there is a local styler
            "CAPTIONER_MODEL_SOURCES": json.dumps({"gemma": vllm.source}),
            "CAPTIONER_OPENAI_URL": openai.url,
            "CAPTIONER_OPENAI_KEY": OPENAI_KEY,
            "CAPTIONER_OPENAI_MODEL": OPENAI_MODEL,
            "CAPTIONER_API_KEY": KEY,
            "CAPTIONER_GEMINI_API_KEY": str(gemini.key),
            "CAPTIONER_GEMINI_URL": gemini.url,
            "CAPTIONER_WEBHOOK_SECRETS": new_secret(),
            "CAPTIONER_CACHE_TTL_S": "60",  # so that there is something to reset
        }
        folder = tmp_path_factory.mktemp("described")
        with processes.service({**stack.environment, **more}, folder) as address:
            yield address


def test_no_answer_is_a_fault_or_a_surprise(base: str) -> None:
    run = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")),
            "--config-file", str(Path(__file__).with_name("schemathesis.toml")),
            "run", f"{base}/openapi.json",
            "--phases", "examples,coverage,fuzzing,stateful", "--checks", "all",
            "--max-examples", str(EACH), "--max-response-time", "5", "--request-timeout", "30",
            "--header", f"X-API-Key: {KEY}", "--seed", "20261122", "--continue-on-failure",
            "--no-color",
        ],
        capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    print(run.stdout)
    assert run.returncode == 0, run.stdout[-8_000:] + run.stderr[-2_000:]
    sent = re.search(r"([\d,]+) generated", run.stdout)
    assert sent is not None
    assert int(sent[1].replace(",", "")) >= EXAMPLES
