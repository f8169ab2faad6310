"""Makes text from pictures, files and servers harmless where it is shown or stored.

A caption or a file name may hold terminal escapes, line breaks, characters that reverse the
reading order, or a spreadsheet formula.
"""

import json
import re
from typing import Any

# Control characters, bidirectional marks, line separators, and the halves of a surrogate pair
# with which Python carries file names that are not UTF-8.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}

# OWASP "CSV Injection". A cell that is guarded already is guarded again, so that two different
# texts never become the same cell.
_FORMULA = re.compile("[\\s']*[=+\\-@\uff1d\uff0b\uff0d\uff20]")


def plain(text: str) -> str:
    """The text with everything that a terminal might obey written out, on one line."""
    return _UNSAFE.sub(_written_out, text)


def cell(text: str) -> str:
    """The text as a CSV cell: on one line, and never a formula."""
    safe = plain(text)
    return f"'{safe}" if _FORMULA.match(safe) else safe


def json_line(value: Any) -> str:
    """JSON on one line, readable in any script, safe to print; it parses back to `value`."""
    text = json.dumps(value, ensure_ascii=False)
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _written_out(match: re.Match[str]) -> str:
    code = ord(match[0])
    return _SHORT.get(match[0]) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
