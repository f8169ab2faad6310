"""What forms may have, and what is described of it."""

import pytest

from api.bodies import FILE_FIELDS, TEXT_FIELDS
from api.forms import ImageForm, SubmitForm, UploadForm


@pytest.mark.parametrize(
    "form", [SubmitForm, ImageForm, UploadForm], ids=lambda form: form.__name__
)
def test_every_field_that_is_read_is_described_and_no_other(form) -> None:
    assert set(form.model_fields) - set(FILE_FIELDS) == set(TEXT_FIELDS)
