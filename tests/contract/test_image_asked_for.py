"""What an image of the pipeline tells only where it was asked for: styles, tags and a flag."""

import httpx
import jsonschema

from tests.contract.uploading import processed, upload
from tests.contract.vlm import SCHEMAS, YES
from tests.contract.vlm import gemini as gemini
from tests.contract.vlm import http as http
from tests.gemini_server import UNSAFE, GeminiServer
from tests.integration.alone import stack as stack
from tests.pictures import plain

STYLES = {"styled", "style_status", "style_warning"}


def seen(http: httpx.Client, **fields: str) -> dict:
    image = processed(http, upload(http, plain("teal"), **fields))
    jsonschema.validate(image, {**SCHEMAS["PipelineImage"], "components": {"schemas": SCHEMAS}})
    return image


def test_styles_stand_with_the_image(http: httpx.Client) -> None:
    image = seen(http, styles="Witty", style_count="1", style_emoji="false", style_hashtags="false")
    said = [f"Witty 1: {image['caption']}"]
    assert image["styled"] == [{"style": "Witty", "captions": said}]
    assert (image["style_status"], image["style_warning"]) == ("styled", None)
    assert {"tags", "flagged"}.isdisjoint(image)


def test_one_without_its_styles_says_why(http: httpx.Client, gemini: GeminiServer) -> None:
    gemini.troubles = [UNSAFE, UNSAFE]
    image = seen(http, styles="all")
    assert image["status"] == "succeeded"
    assert (image["styled"], image["style_status"]) == (None, "fallback")
    assert image["style_warning"]["code"] == "styler_blocked"


def test_tags_and_the_flag_stand_with_it(http: httpx.Client) -> None:
    image = seen(
        http, model="intern_vlm", prompt="A teal wall.", tags="true", flag=f"Is it teal? | {YES}"
    )
    assert (image["tags"], image["flagged"]) == (["teal", "wall"], True)
    assert STYLES.isdisjoint(image)


def test_what_nobody_asked_for_is_not_there(http: httpx.Client) -> None:
    assert STYLES.isdisjoint(image := seen(http))
    assert {"tags", "flagged"}.isdisjoint(image)
