"""Options of a caption: from the request to the engine and back, or refused by name."""

import pytest

from captioner.catalog import SCENES_FOLDER
from captioner.images import ImageLimits, decode, fit
from captioner.options import Options
from captioner.settings import Settings
from tests.integration.calls import files, problem
from tests.integration.test_right_answers import CPU
from tests.pictures import b64, png, scenes
from worker.engines import blip_reference

PICTURE = png(scenes(1, seed=31)[0], 320, 240)


@pytest.fixture(scope="module")
def offline():
    """What transformers' own `generate` says to these options."""
    engine = blip_reference.load(
        str(SCENES_FOLDER), revision="main", placement=CPU, max_new_tokens=20
    )
    pixels = fit(decode(PICTURE, ImageLimits.from_settings(Settings())), engine.image_size)
    return lambda **options: engine.caption([pixels], Options(**options))[0]


def sent(http, options: dict) -> dict:
    body = {"imgb64s": [b64(PICTURE)], **options}
    answer = http.post("/captionImageBlocking", json=body)
    assert answer.status_code == 200, answer.text
    return http.get(f"/captionImage/{answer.json()['id']}").json()


@pytest.mark.parametrize(
    "options",
    [
        {"max_new_tokens": 3},
        {"min_new_tokens": 25, "max_new_tokens": 30},
        {"min_new_tokens": 50},
        {"num_beams": 3},
        {"temperature": 1.5, "seed": 7, "prompt": "a"},
    ],
    ids=str,
)
def test_an_option_reaches_the_engine(http, offline, options) -> None:
    job, expected = sent(http, options), offline(**options)
    assert job["result"] == [expected.text]
    assert job["images"][0]["score"] == pytest.approx(expected.score, abs=1e-4)
    assert job["options"] == {name: options[name] for name in options if name != "prompt"}
    assert job["prompt"] == options.get("prompt")


def test_several_captions_come_with_their_scores_the_best_first(http, offline) -> None:
    options = {"num_beams": 4, "num_captions": 3}
    image = sent(http, options)["images"][0]
    expected = offline(**options)
    assert [each["caption"] for each in image["captions"]] == [
        expected.text, *(other.text for other in expected.others)
    ]  # fmt: skip
    scores = [each["score"] for each in image["captions"]]
    assert scores == sorted(scores, reverse=True)
    assert image["caption"] == image["captions"][0]["caption"]


def test_a_form_takes_the_same_options(http, offline) -> None:
    form = {"max_new_tokens": "3", "num_beams": "2"}
    answer = http.post("/captionImageBlocking", files=files(PICTURE), data=form)
    assert answer.json()["result"] == [offline(max_new_tokens=3, num_beams=2).text]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"language": "German"}, "language"),
        ({"system": "Be brief."}, "system"),
        ({"no_repeat_ngram": 1}, "no_repeat_ngram"),
        ({"no_repeat_ngram": 9}, "no_repeat_ngram"),
        ({"max_new_tokens": 0}, "max_new_tokens"),
        ({"max_new_tokens": 129}, "max_new_tokens"),
        ({"min_new_tokens": 9, "max_new_tokens": 8}, "min_new_tokens"),
        ({"num_beams": 9}, "num_beams"),
        ({"num_captions": 2}, "num_captions"),
        ({"num_captions": 3, "num_beams": 2}, "num_captions"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": 1e-38}, "temperature"),
        ({"temperature": 1.0, "num_beams": 2}, "num_beams"),
        ({"seed": 1}, "seed"),
    ],
    ids=str,
)
def test_what_the_model_does_not_take_is_refused_by_name(http, options, named) -> None:
    response = http.post("/captionImage", json={"imgb64s": [b64(PICTURE)], **options})
    assert problem(response, 422, "invalid_option")["option"] == named


@pytest.mark.parametrize(
    "options", [{"max_new_tokens": "3"}, {"num_beams": 1.5}, {"length": "huge"}], ids=str
)
def test_a_value_of_a_wrong_kind_is_refused(http, options) -> None:
    response = http.post("/captionImage", json={"imgb64s": [b64(PICTURE)], **options})
    (name,) = options
    assert name in problem(response, 422, "invalid_request")["detail"]
    form = {name: "many"}
    problem(http.post("/captionImage", files=files(PICTURE), data=form), 422, "invalid_request")


def test_a_prompt_that_leaves_no_room_is_refused_for_its_job_alone(http, offline) -> None:
    body = {"imgb64s": [b64(PICTURE)] * 2, "prompt": "!" * 500, "length": "long"}
    refused = problem(http.post("/captionImageBlocking", json=body), 422, "invalid_prompt")
    assert "Shorten the prompt" in refused["detail"]
    assert sent(http, {})["result"] == [offline().text]
