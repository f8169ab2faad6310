"""What a model is asked about one picture, one question after another.

It knows options and captions; who asks, and when, is the flow's business. A caption that is not as
it should be is asked for once more, in another way. What is said is the better of the two.
"""

from collections.abc import Generator
from dataclasses import dataclass, replace
from functools import lru_cache

from captioner.errors import CaptionerError
from captioner.options import Fault, Length, Options
from captioner.plain_text import plain
from worker.alt_text import alt_text
from worker.endings import STOPS, without_loose_end
from worker.engines.prompts import yes_or_no
from worker.engines.protocol import Caption
from worker.flagging import flagged
from worker.lengths import in_tokens
from worker.lint import CHARS, Judge, loop
from worker.openings import without_opening
from worker.tags import tags

DIALOGUE_VERSION = "2"
"""To be raised with every change of what is asked, of what is a fault, or of what is made of it."""
MORE_BEAMS = 2
SOME_TOKENS = 4
"""The fewest that a caption has which was empty."""


@dataclass(frozen=True)
class Said:
    """What became of one picture."""

    caption: Caption
    retried_for: Fault | None = None
    """What was wrong with the first caption, when it was asked for once more."""
    tags: tuple[str, ...] | None = None
    """`None` when they were not wanted."""
    flagged: bool | None = None
    """`None` when nobody asked, or the model gave no clear answer."""


Course = Generator[Options, Caption, Said]


class Dialogue:
    """The questions about one picture. `asks` is the next one, until it is all `Said`."""

    def __init__(self, options: Options, *, chats: bool) -> None:
        self._course = _course(options, chats=chats)
        self.asks = next(self._course)

    def hears(self, caption: Caption) -> Said | None:
        """The answer. `None`: there is one question more."""
        try:
            self.asks = self._course.send(_plain(caption))
        except StopIteration as end:
            return _said(end)
        return None

    def fails(self, error: CaptionerError) -> Said | None:
        """No answer came. Raises the error where that leaves nothing to say, or may pass."""
        try:
            self.asks = self._course.throw(error)
        except StopIteration as end:
            return _said(end)
        return None


def _plain(caption: Caption) -> Caption:
    others = tuple(map(_plain, caption.others))
    return replace(caption, text=plain(caption.text).strip(), others=others)


def _said(end: StopIteration) -> Said:
    said: Said = end.value
    return said


def _course(options: Options, *, chats: bool) -> Course:
    judge = Judge(options, chats=chats)
    asked = _of_caption(options, chats=chats)
    caption = yield asked
    faults = judge.faults(caption.text)
    fault = faults[0] if faults else None
    if fault is not None:
        try:
            other = yield _otherwise(asked, caption, fault, options, chats=chats)
        except CaptionerError as error:
            if error.retryable:
                raise
        else:
            caption = min(caption, other, key=lambda each: judge.badness(each.text))
    caption = _finished(caption, judge)
    return Said(
        caption,
        retried_for=fault,
        flagged=(yield from _flag(options)) if options.flag and chats and caption.text else None,
        tags=tags(caption.text, language=options.language) if options.tags else None,
    )


@lru_cache(1024)
def _of_caption(options: Options, *, chats: bool) -> Options:
    """What the engine is asked for a caption: those that ask alike may share a batch."""
    asked = replace(options, tags=None, flag=None)
    return asked if chats else in_tokens(asked)


def _otherwise(
    asked: Options, caption: Caption, fault: Fault, options: Options, *, chats: bool
) -> Options:
    """The same wish in another way: in words where the model hears them, and by other settings."""
    again = replace(asked, again=fault if chats else None)
    match fault:
        case Fault.REPETITION:
            single = loop(caption.text) == 1 or asked.no_repeat_ngram is not None
            return replace(again, no_repeat_ngram=2 if single else 3)
        case Fault.EMPTY:
            longest = asked.max_new_tokens or SOME_TOKENS
            again = replace(again, min_new_tokens=min(SOME_TOKENS, longest))
            return again if chats else _by_other_search(again)
        case Fault.STOCK_OPENING:
            return again if chats else _by_other_search(again)
    return again if chats else _by_tokens(again, caption, fault, options)


def _by_other_search(asked: Options) -> Options:
    if not asked.temperature:
        return replace(asked, num_beams=(asked.num_beams or 1) + MORE_BEAMS)
    return asked if asked.seed is None else replace(asked, seed=asked.seed + asked.captions)


def _by_tokens(asked: Options, caption: Caption, fault: Fault, options: Options) -> Options:
    shortest, longest = asked.min_new_tokens or 0, asked.max_new_tokens or len(caption.tokens)
    chars = CHARS[options.length or Length.MEDIUM]
    if fault is Fault.TOO_LONG:
        fitting = max(1, len(caption.tokens) * chars[1] // max(1, len(caption.text)))
        longest = min(longest, fitting)
        return replace(asked, max_new_tokens=longest, min_new_tokens=min(shortest, longest) or None)
    more = max(2 * shortest, len(caption.tokens) * chars[0] // max(1, len(caption.text)) + 1)
    return replace(asked, min_new_tokens=min(more, longest), max_new_tokens=longest)


def _finished(caption: Caption, judge: Judge) -> Caption:
    """As it is told: alt text by its rules, nothing cut loose, and no stock opening."""
    others = tuple(replace(other, text=_told(other.text, judge)) for other in caption.others)
    caption = replace(caption, text=_told(caption.text, judge), others=others)
    if judge.has_stock_opening(caption.text):
        return replace(caption, text=without_opening(caption.text) or caption.text)
    return caption


def _told(text: str, judge: Judge) -> str:
    length = judge.options.length
    if not judge.chats and length in (Length.SHORT, Length.ALT_TEXT) and text[-1:] not in STOPS:
        text = without_loose_end(text)  # it may have come to the most tokens of its length
    return alt_text(text) if length is Length.ALT_TEXT else text


def _flag(options: Options) -> Generator[Options, Caption, bool | None]:
    try:
        answer = yield replace(yes_or_no(options.flag or ""), collective=options.collective)
    except CaptionerError as error:
        if error.retryable:
            raise
        return None
    return flagged(answer.text)
