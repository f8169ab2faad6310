"""The root of all errors."""

from typing import Any, ClassVar

from captioner.plain_text import plain


class CaptionerError(Exception):
    """The root. `extra` is added to the problem document that a client sees."""

    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Something went wrong on our side"
    retryable: ClassVar[bool] = False

    def __init__(self, detail: str, **extra: Any) -> None:
        super().__init__(detail)
        self.detail = plain(detail)
        self.extra = extra
