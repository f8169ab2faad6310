"""One picture is at fault; its neighbours are not."""

from captioner.errors.root import CaptionerError


class ImageError(CaptionerError):
    """One picture is at fault; its neighbours go on."""


class InvalidBase64(ImageError):
    """A picture's base64 text does not decode."""

    code = "invalid_base64"
    title = "A picture is not valid base64"


class ImageEmpty(ImageError):
    """The picture has no bytes."""

    code = "image_empty"
    title = "The picture is empty"


class UnsupportedImageFormat(ImageError):
    """The bytes are no picture, or of a format that is not enabled."""

    code = "unsupported_image_format"
    title = "The picture's format is not supported"


class ImageTooManyBytes(ImageError):
    """The picture's file is larger than allowed."""

    code = "image_too_many_bytes"
    title = "The picture's file is too large"


class ImageTooLarge(ImageError):
    """The picture has more pixels, or a longer side, than allowed."""

    code = "image_too_large"
    title = "The picture has too many pixels"


class ImageTooSmall(ImageError):
    """A side of the picture is shorter than allowed."""

    code = "image_too_small"
    title = "The picture is too small"


class ImageTruncated(ImageError):
    """The picture's file ends too early."""

    code = "image_truncated"
    title = "The picture's file is incomplete"


class ImageUndecodable(ImageError):
    """The picture's file is damaged, or its decoding had to be stopped."""

    code = "image_undecodable"
    title = "The picture cannot be decoded"


class UrlNotAllowed(ImageError):
    """The URL is of a kind that we do not call, or leads to an address that we do not call."""

    code = "url_not_allowed"
    title = "The URL may not be called"


class UrlFetchFailed(ImageError):
    """The URL gives no picture, and another try would not change that."""

    code = "url_fetch_failed"
    title = "The URL gives no picture"
