"""A request, as Flask reads it, with bounds on the files of a form."""

from tempfile import SpooledTemporaryFile
from typing import IO, Any

from flask import Request

from api.current import services
from api.form_parser import FormParser
from api.spool import MEMORY_BYTES, Part
from captioner.errors import TooManyImages


class BoundedRequest(Request):
    """One spool for all files of a form, and no more of them than a job may have."""

    form_data_parser_class = FormParser
    _spool: IO[bytes] | None = None
    _files_begun = 0

    def _get_file_stream(self, *_: Any, **__: Any) -> IO[bytes]:
        limit = services().settings.max_images
        self._files_begun += 1
        if self._files_begun > limit:
            raise TooManyImages(
                f"The form has more than {limit} pictures. Send the rest in another.", limit=limit
            )
        if self._spool is None:
            self._spool = SpooledTemporaryFile(MEMORY_BYTES)  # noqa: SIM115 - closed in `close`
        return Part(self._spool)  # type: ignore[return-value] # as much of a file as is used

    def close(self) -> None:
        """As Flask's; the spool goes as well."""
        super().close()
        if self._spool is not None:
            self._spool.close()
