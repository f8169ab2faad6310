"""Styled captions: who writes them, how they are asked, and what is made of their answers.

    studio      takes images that wait for a styler, and stores what came of it
    course      one image: calls, retries, one repair, within a bound of time
    breaker     whether a styler is worth a call at all
    brief       what is asked, in words
    reading     what is taken from an answer
    gemini, openai, local     the stylers

Only texts reach a styler: the plain caption, and what the request wishes of styles.
"""
