"""What a client sent, as a submission: strict JSON, or a multipart form."""

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from flask import Request
from pydantic import BaseModel, ValidationError
from werkzeug.datastructures import FileStorage, MultiDict

from api import hooks, parameters
from api.current import caller
from api.forms import OptionFields, StyleFields, SubmitJson
from api.guard import network
from captioner.errors import (
    ImageEmpty,
    ImageTooManyBytes,
    InvalidBase64,
    InvalidJson,
    InvalidRequest,
    PayloadTooLarge,
    StorageUnavailable,
    UnsupportedMediaType,
)
from captioner.options import Options
from captioner.outbound.urls import MAX_CHARS
from captioner.settings import Settings
from captioner.submission import Submission
from captioner.taken import Link, Upload
from models import Priority

FILE_FIELDS = ("images", "images[]", "file")
TEXT_FIELDS = (
    "model", *OptionFields.model_fields, *StyleFields.model_fields,
    "priority", "store", "webhook", "webhook_events",
)  # fmt: skip
MAX_FILE_NAME_CHARS = 255
CHUNK_BYTES = 65_536
MAX_JSON_VALUES = 100_000
"""A list of a million lists takes little of a body, and a hundred times that in memory."""
HALF_A_CHARACTER = re.compile(rb"\\u[dD][89a-fA-F]")
Shape = TypeVar("Shape", bound=BaseModel)


def read_submission(
    request: Request, *, settings: Settings, styles: Sequence[str] | None = None
) -> Submission:
    """The submission in a request's body. Raises a `RequestError` that names what is wrong.

    `styles` are those of a form that names none.
    """
    max_image_bytes = settings.max_image_bytes
    if request.mimetype == "application/json":
        limit = min(settings.max_json_bytes, settings.max_body_bytes)
        submission = _from_json(_whole_body(request, limit), max_image_bytes)
    elif request.mimetype == "multipart/form-data":
        submission = _from_form(request, max_image_bytes, styles)
    else:
        raise UnsupportedMediaType(
            f"The content type is {request.mimetype or 'missing'!r}; "
            "send application/json or multipart/form-data."
        )
    return with_headers(submission, request)


def with_headers(submission: Submission, request: Request) -> Submission:
    """The submission, with what the request says of it outside its body."""
    who, address = caller(), network(request.remote_addr or "")
    return replace(
        submission,
        caller=who.share(address),
        owner=who.owner,
        account=who.account(address),
        cancel_after_s=parameters.cancel_after_s(request),
        idempotency_key=parameters.idempotency_key(request),
        anew=parameters.anew(request),
    )


def _whole_body(request: Request, limit: int) -> bytearray:
    """All of a body that is held in memory, several times over: so it may not be large."""
    request.max_content_length = limit + 1  # a stream ends there silently: one more tells
    body = bytearray()  # Werkzeug's own way makes a copy at the end
    while chunk := request.stream.read(CHUNK_BYTES):
        body += chunk
    if len(body) > limit:
        raise PayloadTooLarge(f"The body has over {limit} bytes. Send a form: it may be larger.")
    return body


def _from_json(body: bytearray, max_image_bytes: int) -> Submission:
    given = parse_json(body)
    _refuse_unknown_names(given)
    asked = _checked(SubmitJson, given)
    for name in ("imgb64", "imgurl"):
        if getattr(asked, name) and getattr(asked, f"{name}s"):
            raise InvalidRequest(f"{name} is another name of {name}s: send one of the two.")
    texts = asked.imgb64s or asked.imgb64
    uploads = [Upload(partial(_decode, text, max_image_bytes)) for text in texts]
    links = [Link(url, _shown_name(_last_part(url))) for url in asked.imgurls or asked.imgurl]
    return Submission(
        [*uploads, *links],
        asked.model,
        asked.options,
        priority=Priority[asked.priority.upper()],
        stored=asked.store,
        webhook=hooks.hook(asked.webhook, asked.webhook_events),
        styling=asked.styling,
    )


def _checked(shape: type[Shape], given: Any) -> Shape:
    try:
        return shape.model_validate(given)
    except ValidationError as error:
        faults = _faults(error)
        first = faults[0]
        raise InvalidRequest(f"{first['field']}: {first['detail']}.", errors=faults) from error


def _refuse_unknown_names(given: Any) -> None:
    names = given if isinstance(given, dict) else {}
    unknown = next((name for name in names if name not in SubmitJson.model_fields), None)
    if unknown is not None:
        raise InvalidRequest(
            f"The body has a name {unknown[:64]!r}; known are {', '.join(SubmitJson.model_fields)}."
        )


def _from_form(request: Request, max_image_bytes: int, styles: Sequence[str] | None) -> Submission:
    uploads = form_uploads(request, max_image_bytes, texts=TEXT_FIELDS)
    return Submission(
        uploads,
        request.form.get("model"),
        _options(request),
        priority=Priority[_word(request, "priority", "normal", "low", "high").upper()],
        stored=_word(request, "store", "true", "false") == "true",
        webhook=hooks.from_form(request.form.get("webhook"), request.form.get("webhook_events")),
        styling=style_fields(request.form).wished(default=styles),
    )


def form_uploads(request: Request, max_image_bytes: int, *, texts: Sequence[str]) -> list[Upload]:
    """The pictures of a form, which may have these text fields besides."""
    with _spooled():
        files = request.files  # here the body is read
    unknown = [
        *(name for name in files if name not in FILE_FIELDS),
        *(name for name in request.form if name not in texts),
    ]
    if unknown:
        words = f", text into {' or '.join(map(repr, texts))}" if texts else ""
        name = (unknown[0] or "")[:64]  # a part may have no name at all
        if name in FILE_FIELDS:
            raise InvalidRequest(f"The field {name!r} came as text; curl: -F {name}=@photo.jpg.")
        raise InvalidRequest(
            f"The form has a field {name!r}; files go into 'images' or 'file'{words}."
        )
    if len(set(files)) > 1:
        raise InvalidRequest(
            "Send all pictures in one field, 'images' or 'file': so they stay in order."
        )
    return [
        Upload(partial(_read, file, max_image_bytes), _shown_name(file.filename))
        for _, file in files.items(multi=True)
    ]


def _options(request: Request) -> Options:
    given = {name: request.form[name] for name in OptionFields.model_fields if name in request.form}
    return _checked(OptionFields, given).options


def style_fields(given: MultiDict[str, str]) -> StyleFields:
    """What texts say of styles: of a form, or of a query. `styles` may come several times."""
    texts = {name: given[name] for name in StyleFields.model_fields if given.getlist(name)}
    names = given.getlist("styles")
    return _checked(StyleFields, texts | ({"styles": names} if names else {}))


def _word(request: Request, name: str, *words: str) -> str:
    """A text field that is one of some words; the first when it is not sent."""
    given = request.form.get(name, words[0])
    if given not in words:
        raise InvalidRequest(f"{name}: {given[:64]!r} is not one of {', '.join(words)}.")
    return given


def parse_json(body: bytes | bytearray) -> Any:
    """JSON as RFC 8259 has it: UTF-8, no NaN, no doubled names, whole characters.

    Raises `InvalidJson`.
    """
    if sum(map(body.count, (b",", b"[", b"{"))) > MAX_JSON_VALUES:  # those in texts as well
        raise InvalidJson(f"The JSON has over {MAX_JSON_VALUES} values.")
    try:
        given = json.loads(
            body.decode("utf-8"), parse_constant=_no_constant, object_pairs_hook=_no_doubles
        )
        if HALF_A_CHARACTER.search(body):  # by name; its other half may be there
            json.dumps(given, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidJson("The JSON holds half a character (a lone surrogate).") from error
    except RecursionError as error:
        raise InvalidJson("The JSON is nested too deeply.") from error
    except UnicodeDecodeError as error:
        raise InvalidJson(f"The body is not UTF-8 (byte {error.start}).") from error
    except ValueError as error:
        raise InvalidJson(f"The body is not valid JSON: {str(error)[:200]}.") from error
    return given


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value")


def _no_doubles(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) != len(pairs):
        raise ValueError("an object has the same name twice")
    return names


def _decode(text: str, max_bytes: int) -> bytes:
    """Bytes of a base64 text or a data URI."""
    if text.startswith("data:"):
        head, comma, text = text.partition(",")
        if not comma or not head.endswith(";base64") or not head.startswith("data:image/"):
            raise InvalidBase64("A data URI must begin with 'data:image/…;base64,'.")
    if not text:
        raise ImageEmpty("The picture's base64 text is empty.")
    if len(text) // 4 * 3 > max_bytes + 2:
        raise ImageTooManyBytes(_too_many(len(text) // 4 * 3, max_bytes))
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidBase64(
            "The picture is not base64 in the standard alphabet, padded and without line breaks "
            "(try: base64 -w0 picture.jpg)."
        ) from error


def _read(file: FileStorage, max_bytes: int) -> bytes:
    with _spooled():
        file.stream.seek(0)  # it may be read twice
        data = file.stream.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise ImageTooManyBytes(_too_many(len(data), max_bytes))
    return data


@contextmanager
def _spooled() -> Iterator[None]:
    """Name the fault of a folder for temporary files that is full or not there."""
    try:
        yield
    except OSError as error:
        raise StorageUnavailable(
            "The form could not be kept while it is read: the server's folder for temporary files "
            f"is full or away ({type(error).__name__})."
        ) from error


def _too_many(size: int, limit: int) -> str:
    return f"The picture's file has {size} bytes or more; at most {limit} are allowed."


def _shown_name(name: str | None) -> str | None:
    """A file name for showing only, never a path: printable characters, bounded."""
    shown = name or ""
    if not shown.isprintable():
        shown = "".join(c for c in shown if c.isprintable())
    return shown[:MAX_FILE_NAME_CHARS] or None


def _last_part(url: str) -> str:
    """Of a URL's path, as a name. Nothing of its query, which may hold a key."""
    try:
        path = urlsplit(url[:MAX_CHARS]).path
    except ValueError:
        return ""
    return unquote(path).rpartition("/")[2]


def _faults(error: ValidationError) -> list[dict[str, str]]:
    found = error.errors(include_input=False, include_url=False, include_context=False)
    return [{"field": _field(fault["loc"]), "detail": fault["msg"]} for fault in found[:20]]


def _field(location: tuple[int | str, ...]) -> str:
    join: Callable[[int | str], str] = lambda part: f"[{part}]" if isinstance(part, int) else part  # noqa: E731
    return "".join(join(part) for part in location)[:100] or "body"
