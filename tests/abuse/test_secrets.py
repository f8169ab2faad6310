"""Rows 31 and 33: what is reachable without a key, and what is written down of one."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import redis
import yaml
from PIL import Image
from sqlalchemy import text

from captioner.access import keys
from captioner.settings import Settings
from cli import data_folder, valkey
from models import Base
from tests.abuse.watch import Watched, watched
from tests.integration.access import Guarded, guarded
from tests.integration.calls import files, problem
from tests.pictures import b64, encoded
from tests.stacks import Stack

ROOT = Path(__file__).resolve().parents[2]
ADMIN_KEY = "canary-admin-key-of-the-settings"
PROMPT = "canary prompt that nobody else may read"
NAME = "canary-file-name.png"
WEBHOOK_SECRET = "whsec_" + "Y2FuYXJ5" * 4
SIGNED = "https://pictures.invalid/a.png?signature=canary-of-a-signed-url"
EVIL_ID = "x\r\nforged log line"


@pytest.fixture(scope="module")
def api(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder: Path = tmp_path_factory.mktemp("secrets")
    more = {"api_key": ADMIN_KEY, "webhook_secrets": WEBHOOK_SECRET, "rate_limit": "100/second"}
    with watched(
        stack, folder, api_processes="1", outbound_allow="pictures.invalid", **more
    ) as started:
        yield started


def use(api: Watched, key: str, picture: bytes) -> None:
    """Show the key, right and wrong, on every kind of call, with all that is secret."""
    with api.client(key) as client:
        sent = client.post(
            "/captionImage", files=[("images", (NAME, picture))], data={"prompt": PROMPT}
        )
        assert sent.status_code in (202, 401), sent.text
        client.post("/captionImage", json={"imgb64s": [b64(picture)], "imgurls": [SIGNED]})
        client.post("/captionImage", json={"imgb64s": [b64(picture)[:-3]]})
        client.post("/captionImage", content=b"{" + b64(picture).encode())
        client.post("/captionImage", json={"imgb64s": [b64(picture)], "model": "no"})
        client.post("/captionImage", data={"webhook": SIGNED}, files=files(picture))
        client.get("/captionImage", params={"key": key, "api_key": key})
        client.get(f"/captionImage/{key}")
        client.delete(f"/captionImage/{key}")
        client.get("/captionImage", headers={"X-API-Key": key + "x", "X-Request-ID": key[:9]})
        client.post("/api/admin/reset-cache")
        client.get(f"/{key}")
    line = f"GET /captionImage HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}"
    api.watch.send(f"{line}\x00\r\n\r\n".encode())
    api.watch.send(f"{line}\r\nX-Request-ID: {EVIL_ID}\r\nConnection: close\r\n\r\n".encode())


def test_row_33_neither_log_nor_database_nor_redis_has_a_secret(api: Watched) -> None:
    picture = encoded(Image.effect_noise((64, 64), 99))
    good, revoked = api.key("canary"), api.key("canary")
    api.revoke(revoked)
    shown = [good, revoked, keys.new_key(), ADMIN_KEY, "Basic-canary-password"]
    for key in shown:
        use(api, key, picture)

    log = api.door.log.read_text(encoding="utf-8", errors="replace")
    secret = [*shown, *(key[12:] for key in shown), WEBHOOK_SECRET, "canary-of-a-signed-url"]
    pictured = [b64(picture)[n : n + 64] for n in range(0, len(b64(picture)) - 64, 64)]
    assert [each for each in [*secret, *pictured, PROMPT, NAME] if each in log] == []
    assert "forged log line" not in [line.strip() for line in log.splitlines()]
    assert max(map(len, log.splitlines())) <= 4_000

    dump = dumped(api)
    assert [each for each in [*shown[:4], *(key[12:] for key in shown[:4])] if each in dump] == []
    assert keys.prefix_of(good) in dump  # the dump is one

    told = redis.Redis.from_url(api.door.settings.redis_url)
    for name in told.scan_iter():
        kept = name + repr(contents(told, name)).encode()
        assert not [each for each in shown if each.encode() in kept]


def dumped(api: Guarded) -> str:
    """All rows of all tables; of SQLite, the bytes of its files as well."""
    with api.door.database.read() as session:
        rows = [
            str(row)
            for table in Base.metadata.sorted_tables
            for row in session.execute(text(f'SELECT * FROM "{table.name}"'))
        ]
    url = api.door.settings.database
    if url.startswith("sqlite:///"):
        path = Path(url.removeprefix("sqlite:///"))
        rows += [each.read_bytes().decode("latin-1") for each in path.parent.glob(f"{path.name}*")]
    return "\n".join(rows)


def contents(client: redis.Redis, name: bytes) -> object:
    kinds = {
        b"string": client.get,
        b"hash": client.hgetall,
        b"list": lambda each: client.lrange(each, 0, -1),
        b"set": client.smembers,
        b"zset": lambda each: client.zrange(each, 0, -1),
    }
    return kinds.get(client.type(name), lambda _: None)(name)


def test_row_31_metrics_need_a_key_unless_they_are_opened(api, stack, tmp_path) -> None:
    with api.client() as nobody, api.client(api.key("prometheus", "read")) as scraper:
        problem(nobody.get("/metrics"), 401, "unauthorized")
        assert scraper.get("/metrics").status_code == 200
    with guarded(stack, tmp_path, metrics_open="true") as opened, opened.client() as nobody:
        assert nobody.get("/metrics").status_code == 200
        problem(nobody.get("/captionImage"), 401, "unauthorized")


def test_row_31_in_the_compose_file_nothing_is_open_but_the_api_and_flower_has_a_password() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    services = compose["services"]

    reached = {name: each["ports"] for name, each in services.items() if each.get("ports")}
    assert set(reached) == {"api", "flower", "grafana", "prometheus"}
    own = [port for name, ports in reached.items() if name != "api" for port in ports]
    assert all(port.startswith("127.0.0.1:") for port in own)
    password = services["grafana"]["environment"]["GF_SECURITY_ADMIN_PASSWORD"]
    assert password.startswith("${GRAFANA_PASSWORD:?")
    assert all("network_mode" not in each for each in services.values())
    assert services["api"]["environment"]["CAPTIONER_AUTH"] == "${CAPTIONER_AUTH:-required}"
    assert "--requirepass" in services["redis"]["command"]
    login = services["flower"]["environment"]["FLOWER_BASIC_AUTH"]
    assert login.startswith("captioner:${FLOWER_PASSWORD:?")


def test_row_31_the_valkey_of_captioner_up_listens_at_no_port(tmp_path: Path) -> None:
    folder = data_folder.prepare(Settings(data_dir=tmp_path).data_dir)
    conf = valkey.write_conf(folder).read_text(encoding="utf-8")

    assert re.search(r"^port 0$", conf, re.MULTILINE)
    assert re.search(r"^unixsocketperm 7?00$", conf, re.MULTILINE)


def test_row_33_a_problem_never_quotes_a_key(api: Guarded) -> None:
    key = keys.new_key()
    for headers in ({"Authorization": f"Bearer {key}"}, {"X-API-Key": key}):
        for path in ("/captionImage", "/metrics", "/workers"):
            answer = httpx.get(f"{api.url}{path}", headers=headers)
            assert key not in answer.text + json.dumps(dict(answer.headers))


def test_rows_31_and_33_take_little_and_leave_nothing_in_the_log(api: Watched) -> None:
    api.check(ADMIN_KEY, PROMPT, NAME, WEBHOOK_SECRET, "canary-of-a-signed-url")
