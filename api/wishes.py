"""What a request wishes of styles: in its query, in its form, or some of it in each."""

from collections.abc import Sequence

from flask import Request
from werkzeug.datastructures import MultiDict

from api.bodies import style_fields
from api.forms import StyleFields
from captioner.errors import InvalidStyle
from captioner.styles import Styling

NAMES = tuple(StyleFields.model_fields)


def wish_of(request: Request, *, default: Sequence[str] | None = None) -> Styling | None:
    """The wish, of the `default` styles where none are named; `None` where nothing is wished.

    The form has been read before. Raises `InvalidStyle`, also for what is in both places.
    """
    found: MultiDict[str, str] = MultiDict()
    for name in NAMES:
        texts = request.args.getlist(name)
        if texts and name in request.form:
            raise InvalidStyle(f"{name}: it is in the form and in the query.", option=name)
        found.setlist(name, texts or request.form.getlist(name))
    return style_fields(found).wished(default=default)
