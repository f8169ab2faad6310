"""A caption server and an empty current folder for the tests of the command."""

import pytest
from caption_server import running


@pytest.fixture
def server():
    with running() as started:
        yield started


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
