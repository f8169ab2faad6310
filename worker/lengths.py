"""How long a caption is to be, in tokens, for models that cannot be told in words."""

from dataclasses import replace

from captioner.options import Length, Options

TOKENS = {
    Length.SHORT: (0, 12),
    Length.MEDIUM: (5, 24),
    Length.LONG: (20, 64),
    Length.ALT_TEXT: (0, 40),
}
"""The fewest and the most tokens of a length."""
LONG_NGRAM = 3
"""A model that is held back from its end says the same again; in a long caption it may not."""


def in_tokens(options: Options) -> Options:
    """The same wish without a length. What the request has set itself stays."""
    if options.length is None:
        return options
    shortest, longest = TOKENS[options.length]
    if options.max_new_tokens is not None:
        longest = options.max_new_tokens
        shortest = min(shortest, longest)
    if options.min_new_tokens is not None:
        shortest = options.min_new_tokens
        longest = max(shortest, longest)
    ngram = LONG_NGRAM if options.length is Length.LONG else None
    return replace(
        options,
        length=None,
        min_new_tokens=shortest or None,
        max_new_tokens=longest,
        no_repeat_ngram=options.no_repeat_ngram or ngram,
    )
