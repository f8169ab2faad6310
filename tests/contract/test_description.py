"""Whatever is sent, the answer is one that the description foretells: schemathesis, all its checks.

The service is real, and so is its worker, and it asks for keys. Local servers take the places of
Gemini and of those that speak the API of OpenAI, so that every styler is asked.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from api.openapi import document
from api.openapi.access import METHODS, OPEN
from captioner.access import book
from captioner.database import Database
from captioner.webhooks.secret import new_secret
from models import Scope
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
FEW = 8
"""Drawn for each operation, for callers who are refused."""
REFUSED = r"(\d+) operations returned only 401/403 responses"
LONG = 2
"""Of the operations, so many at most have drawn an address that is too long for any key (414)."""
ADMINISTRATORS = ("/workers", "/api/stats")
GUARDED = [
    (method, path)
    for path, item in document()["paths"].items()
    for method in METHODS
    if method in item and path not in OPEN
]
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
            "CAPTIONER_AUTH": "required",
            "CAPTIONER_AUTH_FAILURES": "",  # wrong keys come by the hundred
            "CAPTIONER_GEMINI_API_KEY": str(gemini.key),
            "CAPTIONER_GEMINI_URL": gemini.url,
            "CAPTIONER_WEBHOOK_SECRETS": new_secret(),
            "CAPTIONER_CACHE_TTL_S": "60",  # so that there is something to reset
        }
        folder = tmp_path_factory.mktemp("described")
        with processes.service({**stack.environment, **more}, folder) as address:
            yield address


@pytest.fixture
def reader(stack: stacks.Stack) -> str:
    """A key that may read."""
    database = Database(stack.database_url)
    with database.write() as session:
        _, key = book.create(session, owner="reader", scopes={Scope.READ})
    database.close()
    return key


def described(base: str, config: str, *options: str) -> str:
    """Have schemathesis ask, with that configuration. Returns what it says of its requests."""
    run = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")),
            "--config-file", str(Path(__file__).with_name(config)),
            "run", f"{base}/openapi.json", "--checks", "all", "--max-response-time", "5",
            "--request-timeout", "30", "--seed", "20261122", "--continue-on-failure", "--no-color",
            *options,
        ],
        capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    print(run.stdout)
    assert run.returncode == 0, run.stdout[-8_000:] + run.stderr[-2_000:]
    return run.stdout


def number(said: str, pattern: str) -> int:
    found = re.search(pattern, said)
    assert found is not None
    return int(found[1].replace(",", ""))


def test_no_answer_is_a_fault_or_a_surprise(base: str) -> None:
    phases = ("--phases", "examples,coverage,fuzzing,stateful", "--max-examples", str(EACH))

    said = described(base, "schemathesis.toml", "-H", f"X-API-Key: {KEY}", *phases)

    assert number(said, r"([\d,]+) generated") >= EXAMPLES


def test_who_may_only_read_is_forbidden_the_rest_as_described(base: str, reader: str) -> None:
    few = ("--phases", "fuzzing", "--max-examples", str(FEW))

    said = described(base, "schemathesis-reader.toml", "-H", f"X-API-Key: {reader}", *few)

    more = [(method, path) for method, path in GUARDED if method != "get" or path in ADMINISTRATORS]
    assert len(more) - LONG <= number(said, REFUSED) <= len(more)


def test_who_has_no_key_is_asked_for_one_as_described(base: str) -> None:
    few = ("--phases", "fuzzing", "--max-examples", str(FEW))

    said = described(base, "schemathesis-nobody.toml", *few)

    assert len(GUARDED) - LONG <= number(said, REFUSED) <= len(GUARDED)
