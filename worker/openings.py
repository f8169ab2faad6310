"""Words that say no more than that a picture is a picture: "there is a photo of", "image of"."""

import re

_PICTURE = r"(?:image|picture|photo|photograph|pic|snapshot|screenshot)s?"
_ARTICLE = r"(?:an?|the|this|these|those|one|some|my|your)"
_SHOWS = r"(?:of|shows?|showing|depicts?|depicting|features?|featuring|contains?|captures?|with)"
_IS = r"(?:\s+is|['\u2019]s)"
_THERE = rf"(?:there(?:{_IS}|\s+are)|(?:this|it|that|here){_IS}|these\s+are)"
_SEEN = rf"(?:{_THERE}|(?:we|you|i)\s+(?:can\s+)?see)"
_OPENINGS = (
    # "there is a photo of", "an image of", "this picture shows"
    rf"(?:{_THERE}\s+)?(?:{_ARTICLE}\s+)?{_PICTURE}\s+(?:(?:is|are)\s+)?{_SHOWS}",
    # "in this image, there is", "in the picture we can see"
    rf"in\s+(?:{_ARTICLE}\s+)?{_PICTURE}\s*(?:,\s*{_SEEN}|,|\s{_SEEN})",
)
_OPENING = re.compile(rf"\s*(?:{'|'.join(_OPENINGS)})(?:\s*[:,]\s*|\s+|$)", re.IGNORECASE)


def has_opening(text: str) -> bool:
    """Whether a caption begins so."""
    return _OPENING.match(text) is not None


def without_opening(text: str) -> str:
    """The caption without all such openings. It begins in a capital if it did before."""
    rest = text
    while found := _OPENING.match(rest):
        rest = rest[found.end() :]
    return capital(rest) if text[:1].isupper() else rest


def capital(text: str) -> str:
    """The text with a capital first letter, where its script has capitals."""
    return text[:1].upper() + text[1:]
