"""The receiver of the guide runs as it is printed there."""

import re
import threading
from datetime import UTC, datetime
from http.server import HTTPServer
from pathlib import Path

import httpx
import pytest

from captioner.webhooks import signing
from captioner.webhooks.secret import new_secret

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "webhooks.md"
BODY = '{"type":"job.finished","data":{"id":"1","result":["a red star"]}}'


def test_the_guides_receiver_takes_what_we_sign_once_and_refuses_the_rest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    secret = new_secret()
    names: dict = {"SECRET": secret, "seen": set()}
    exec(code, names)  # the guide's own words
    signed = signing.headers([secret], webhook_id="7", at=datetime.now(UTC), body=BODY)
    server = HTTPServer(("127.0.0.1", 0), names["Receiver"])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/"
        statuses = [
            httpx.post(url, content=body, headers=signed).status_code
            for body in (BODY, BODY, BODY.replace("red", "sad"))
        ]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert statuses == [204, 204, 400]
    assert capsys.readouterr().out == "job.finished 1 ['a red star']\n"
