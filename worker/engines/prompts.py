"""What chat models are told and asked: the words that follow from a request's options.

Pure text, no network. Whoever changes a word here raises `PROMPT_VERSION`, so that answers to the
old words are not taken for answers to the new.
"""

import re
from dataclasses import dataclass

from captioner.options import Fault, Length, Options

PROMPT_VERSION = "2"
ANSWER_TOKENS = 192
"""Tokens that an answer may have unless the request says otherwise: a paragraph."""

SYSTEM = (
    "You describe pictures for people who cannot see them. Say what is in the picture, plainly, "
    "and nothing that it does not show. Answer with the description alone."
)
QUESTION = "Describe this picture."
QUESTION_OF_ALL = "Describe what these {pictures} pictures show together, as one text."

LENGTHS = {
    Length.SHORT: "Use one short sentence of at most ten words.",
    Length.MEDIUM: "Use one or two sentences.",
    Length.LONG: "Use one paragraph of about eighty words.",
    Length.ALT_TEXT: (
        "Write it as the alt text of a web page: one sentence of at most 125 characters that ends "
        'with a full stop. Do not begin with "image of", "picture of" or "photo of".'
    ),
}

AGAIN = {
    Fault.EMPTY: "Say at least one sentence.",
    Fault.REPETITION: "Say nothing twice.",
    Fault.TOO_LONG: "Be much briefer than usual.",
    Fault.TOO_SHORT: "Go into much more detail than usual.",
    Fault.STOCK_OPENING: (
        "Begin with what is in the picture itself. Do not mention that it is a picture."
    ),
}
"""What is added when a model is asked once more, by what was wrong with its first answer."""

YES_OR_NO = (
    "You check pictures. Look at the picture and answer the question about it with JSON alone: "
    '{"flagged": true} for yes, {"flagged": false} for no. Write nothing else.'
)
YES_OR_NO_TOKENS = 24

LANGUAGES = {
    "ar": "Arabic",
    "cs": "Czech",
    "da": "Danish",
    "de": "German",
    "el": "Greek",
    "en": "English",
    "es": "Spanish",
    "fi": "Finnish",
    "fr": "French",
    "he": "Hebrew",
    "hi": "Hindi",
    "hu": "Hungarian",
    "id": "Indonesian",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "nl": "Dutch",
    "no": "Norwegian",
    "pl": "Polish",
    "pt": "Portuguese",
    "ro": "Romanian",
    "ru": "Russian",
    "sv": "Swedish",
    "th": "Thai",
    "tr": "Turkish",
    "uk": "Ukrainian",
    "vi": "Vietnamese",
    "zh": "Chinese",
}
"""Languages by their ISO 639-1 tag. Others are asked for by the tag itself."""

_TAG = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*")


@dataclass(frozen=True)
class Prompt:
    """The two texts that a chat template takes."""

    system: str
    user: str


def prompt_for(options: Options) -> Prompt:
    """What a chat model is told and asked for a caption with these options.

    A question of the caller's own stays as it is; length and language are wishes after it. Without
    either, a caption is of medium length and in the language of the question.
    """
    question = (options.prompt or "").strip()
    length = options.length or (None if question else Length.MEDIUM)
    wishes = [
        question or _question(options.collective),
        LENGTHS[length] if length else "",
        f"Answer in {_language(options.language)}." if options.language else "",
        AGAIN[options.again] if options.again else "",
    ]
    system = (options.system or "").strip() or SYSTEM
    return Prompt(system, " ".join(wish for wish in wishes if wish))


def _question(collective: int | None) -> str:
    return QUESTION_OF_ALL.format(pictures=collective) if collective else QUESTION


def yes_or_no(question: str) -> Options:
    """How a chat model is asked a question for a flag: see `worker.flagging`."""
    return Options(prompt=question, system=YES_OR_NO, max_new_tokens=YES_OR_NO_TOKENS)


def _language(asked: str) -> str:
    asked = asked.strip()
    if not _TAG.fullmatch(asked):
        return asked
    name = LANGUAGES.get(asked.lower())
    return name or f'the language with the tag "{asked}"'
