"""What is told of each model, by the API and the command, and what a request may ask of it."""

import json

import pytest
from click.testing import CliRunner

from api.forms import SubmitJson
from api.vlm import Offer
from captioner import catalog
from captioner.catalog import BUILT_IN, ModelEntry
from captioner.errors import InvalidOption
from captioner.options import ALL, CHATTING, MIN_TEMPERATURE, Options, check, ranges
from captioner.settings import Settings
from cli.models import models

NAMES = [entry.name for entry in BUILT_IN]
EVERY = Settings(_env_file=None, models=tuple(NAMES))
NUMBERS = sorted(ranges(CHATTING).keys() - {"collective"})


@pytest.fixture(params=BUILT_IN, ids=NAMES)
def entry(request: pytest.FixtureRequest) -> ModelEntry:
    return request.param


def test_every_entry_says_its_prompt_limits_memory_batch_and_licence(entry) -> None:
    assert entry.prompt in (catalog.GOES_ON, catalog.ANSWERS)
    assert {"prompt", "max_new_tokens"} <= entry.limits.takes <= ALL
    assert any(unit in entry.memory for unit in ("MB", "GB"))
    assert 1 <= entry.batch_on_cpu <= 16
    assert 1 <= entry.batch <= 16
    assert "card" not in entry.license
    assert entry.license[0].isupper()


def test_the_api_tells_all_of_it(entry) -> None:
    (offer,) = (each for each in Offer.of(EVERY).models if each.name == entry.name)
    assert (offer.prompt, offer.memory, offer.license) == (
        entry.prompt, entry.memory, entry.license,
    )  # fmt: skip
    assert offer.batch == entry.batch
    assert set(offer.options) == entry.limits.takes
    for name, (least, most) in ranges(entry.limits).items():
        assert (offer.options[name].minimum, offer.options[name].maximum) == (least, most)


def test_the_command_tells_all_of_it_of_one_model(entry) -> None:
    told = CliRunner().invoke(models, [entry.name]).output
    for part in (entry.prompt, entry.memory, entry.license, entry.source, f"{entry.batch} "):
        assert part in told
    for name in entry.limits.takes:
        assert f"  {name}" in told
    assert f"1 to {entry.limits.max_new_tokens}" in told


def test_a_model_that_is_not_there_is_told_with_those_that_are() -> None:
    done = CliRunner().invoke(models, ["blipp"])
    assert done.exit_code == 2
    assert "blip, blip-large" in done.output


def test_the_list_stays_a_line_for_each_model() -> None:
    lines = CliRunner().invoke(models).output.splitlines()
    assert [line.split("\t")[0] for line in lines] == NAMES


@pytest.mark.parametrize("name", NUMBERS)
def test_the_schema_has_the_bounds_of_the_models_that_take_the_most(name) -> None:
    *kinds, null = SubmitJson.model_json_schema()["properties"][name]["anyOf"]
    assert null == {"type": "null"}
    bounds = [ranges(entry.limits).get(name, (0, 0)) for entry in BUILT_IN]
    assert kinds[-1]["maximum"] == max(most for _, most in bounds)
    lowest = MIN_TEMPERATURE if name == "temperature" else min(low for low, _ in bounds)
    assert kinds[-1]["minimum"] == lowest
    assert json.dumps(kinds)


@pytest.mark.parametrize("name", NUMBERS)
def test_what_the_schema_allows_at_its_ends_some_model_takes(name) -> None:
    *kinds, _ = SubmitJson.model_json_schema()["properties"][name]["anyOf"]
    beside = {"num_captions": {"num_beams": 8}, "seed": {"temperature": 1.0}}.get(name, {})
    for value in (kinds[-1]["minimum"], kinds[-1]["maximum"]):
        check(Options(**{name: value}, **beside), CHATTING, model="a model")
    with pytest.raises(InvalidOption):
        check(Options(**{name: kinds[-1]["maximum"] + 1}), CHATTING, model="a model")


@pytest.mark.parametrize("temperature", [1e-38, 0.0099, -1.0, float("nan"), float("inf")])
def test_a_temperature_that_would_overflow_is_refused(temperature) -> None:
    with pytest.raises(InvalidOption) as raised:
        check(Options(temperature=temperature), CHATTING, model="a model")
    assert raised.value.extra["option"] == "temperature"


def test_no_temperature_is_the_likeliest_and_the_least_one_still_draws() -> None:
    check(Options(temperature=0), CHATTING, model="a model")
    check(Options(temperature=MIN_TEMPERATURE, seed=1), CHATTING, model="a model")
