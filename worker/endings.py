"""How a caption ends: with a full stop, and not in the middle of what it was about to say."""

STOPS = ".。।"
"""What ends a sentence, in Latin and many other scripts, in Chinese and Japanese, in Hindi."""
ENDINGS = STOPS + "!?,;:- \u2026\u2013\u2014\uff01\uff1f\u3001\uff0c\uff1b\uff1a"
"""What a text may end with that is no full stop; those of Chinese and Japanese are the last."""
LOOSE = (
    "a", "an", "the", "its", "his", "her", "their", "and", "or", "but", "with", "without", "of",
    "on", "in", "at", "to", "from", "by", "for", "as", "is", "are", "was", "were", "that", "which",
    "who", "into", "onto", "over", "under", "near", "next", "while",
)  # fmt: skip
"""Words that lead to others."""


def without_loose_end(text: str) -> str:
    """A caption that was cut, without the small words at its end that lead nowhere."""
    kept = text.rstrip(ENDINGS)
    while " " in kept and kept.rpartition(" ")[2].lower() in LOOSE:
        kept = kept.rpartition(" ")[0].rstrip(ENDINGS)
    return kept
