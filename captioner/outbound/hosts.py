"""What the host of a URL can be, by its text: a name, or something that is taken for an address."""

import re

_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_-]{1,63})*")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


def is_numeric(host: str) -> bool:
    """Whether a host in lower case is an address in some form, and no name of the DNS.

    The system's resolver takes `127.1`, `0x7f000001` and `2130706433` for addresses too. What
    decides is the last label, as in the URL standard of the WHATWG.
    """
    return ":" in host or bool(_NUMBER.fullmatch(host.rpartition(".")[2]))


def is_name(host: str) -> bool:
    """Whether an ASCII host in lower case is a host name, without a dot at the end."""
    return bool(_NAME.fullmatch(host)) and not is_numeric(host)
