"""The commands of the guide on access are run as they stand there."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.integration.access import guarded
from tests.pictures import plain
from tests.processes import environment
from tests.stacks import Stack

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "access.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ADMIN_KEY = "the-administrators-key-of-a-test"


def test_what_the_guide_says_can_be_done(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(plain())
    (tmp_path / ".curlrc").write_text('fail\nsilent\nshow-error\nwrite-out = "\\n"\n')
    changes = {"api_key": ADMIN_KEY, "wait_s": "0", "cache_ttl_s": "60"}
    with guarded(stack, tmp_path, **changes) as api:
        steps = BLOCK.findall(GUIDE.read_text(encoding="utf-8"))
        script = "set -eu\n" + "".join(steps).replace("http://127.0.0.1:8000", api.url)
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=tmp_path,
            env={
                **environment(stack.environment),
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "CURL_HOME": str(tmp_path),
                "ADMIN_KEY": ADMIN_KEY,
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(steps) >= 4
    assert "alice\tsubmit,read\tactive" in done.stdout
    assert '"forgotten":' in done.stdout
    assert "revoked" in done.stdout
    assert "her laptop" in done.stdout
