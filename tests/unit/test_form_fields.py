"""What forms may have, and what is described of it."""

import pytest
from pydantic import ValidationError
from werkzeug.datastructures import MultiDict

from api.bodies import FILE_FIELDS, TEXT_FIELDS, style_fields
from api.forms import ImageForm, StyleFields, SubmitForm, UploadForm
from captioner.styles import Style


@pytest.mark.parametrize(
    "form", [SubmitForm, ImageForm, UploadForm], ids=lambda form: form.__name__
)
def test_every_field_that_is_read_is_described_and_no_other(form) -> None:
    assert set(form.model_fields) - set(FILE_FIELDS) == set(TEXT_FIELDS)


LONG = "Short and punchy, under ten words"


@pytest.mark.parametrize(
    "given",
    [f"Witty, {LONG}", ["Witty", LONG], [f"Witty, {LONG}"], [f"{LONG}, witty", "WITTY"]],
    ids=str,
)
def test_styles_are_named_in_one_text_or_in_several(given: str | list[str]) -> None:
    several = [given] if isinstance(given, str) else given
    form = style_fields(MultiDict([("styles", text) for text in several]))
    for fields in (StyleFields(styles=given), form):
        styling = fields.styling
        assert styling is not None
        assert set(styling.styles) == {Style.WITTY, Style.SHORT}


@pytest.mark.parametrize("given", [7, ["Witty", 7], {"Witty": 1}], ids=str)
def test_what_is_no_name_of_a_style_is_refused(given: object) -> None:
    with pytest.raises(ValidationError):
        StyleFields(styles=given)
