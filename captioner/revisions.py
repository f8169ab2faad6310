"""Which revision of a hub model is loaded: one for all of them, or one for each by its name."""

import re
from collections.abc import Collection, Mapping

USUAL = "main"
_REVISION = re.compile(r"[A-Za-z0-9][\w./-]*")


def parse(text: str) -> dict[str, str]:
    """Model to revision, of `main` or `blip=main,blip-large=v2`; the one of all models has no name.

    ValueError: it is neither.
    """
    found: dict[str, str] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        name, sign, revision = map(str.strip, part.rpartition("="))
        if not _REVISION.fullmatch(revision) or (sign and not name):
            raise ValueError(f"{part!r} is neither a revision nor model=revision")
        if name in found:
            raise ValueError(f"{part!r} comes after another of the same model, or of all")
        found[name] = revision
    if "" in found and len(found) > 1:
        raise ValueError(f"{found['']!r} has no model's name before it, and others have")
    return found or {"": USUAL}


def fault(revisions: Mapping[str, str], *, known: Collection[str], hub: Collection[str]) -> str:
    """What is wrong with revisions where these models are known, and those come from the hub; empty
    where nothing is.

    A commit, tag or branch is of one repository, but for the one branch that all have.
    """
    unknown = sorted(revisions.keys() - {*known, ""})
    if unknown:
        return f"it names {', '.join(unknown)}, and the models are {', '.join(sorted(known))}"
    every = revisions.get("", USUAL)
    if every != USUAL and len(hub) > 1:
        named = ",".join(f"{name}={every}" for name in sorted(hub))
        return f"{every} can be of one model alone: give each its own, as in {named}"
    return ""
