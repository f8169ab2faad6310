"""Names of styles, and wishes about them."""

import pytest

from captioner.errors import InvalidStyle
from captioner.styles import ALIASES, MEANINGS, Style, Styler, Styling, listed, named, styling


@pytest.mark.parametrize("style", list(Style))
def test_a_style_is_found_by_its_name_in_any_case(style: Style) -> None:
    assert named(style) is style
    assert named(f"  {style.upper()} ") is style
    assert named(style.lower().replace(" ", "-")) is style


@pytest.mark.parametrize(
    ("name", "style"),
    [
        ("Witty & Humorous", Style.WITTY),
        ("Inspirational / Motivational", Style.INSPIRATIONAL),
        ("Minimalist / Aesthetic", Style.MINIMALIST),
        ("Poetic or Lyrical", Style.POETIC),
        ("Intriguing Question & Answer", Style.INTRIGUING),
        ("Q&A", Style.INTRIGUING),
        ("Evocative (paints a scene)", Style.EVOCATIVE),
        ("Feeling-focused / Emotional", Style.FEELING),
        ("Short and punchy, under ten words", Style.SHORT),
        ("punchy", Style.SHORT),
    ],
)
def test_longer_names_and_aliases_are_taken(name: str, style: Style) -> None:
    assert named(name) is style


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Witty", ["Witty"]),
        ("witty,poetic , Short & Punchy", ["witty", "poetic", "Short & Punchy"]),
        ("Short and punchy, under ten words", ["Short and punchy, under ten words"]),
        (
            "Short and punchy, under ten words, Witty",
            ["Short and punchy, under ten words", "Witty"],
        ),
        ("Witty, with a wink, or two of them", ["Witty, with a wink, or two of them"]),
        ("Poetic, in four lines,all", ["Poetic, in four lines", "all"]),
        ("Witty, Gothic", ["Witty", "Gothic"]),
        ("witty, gothic", ["witty", "gothic"]),
        ("witty, feelng-focused", ["witty", "feelng-focused"]),
        ("witty, intrigueing q&a", ["witty", "intrigueing q&a"]),
        ("witty, shrot and punchy", ["witty", "shrot and punchy"]),
        ("under ten words", ["under ten words"]),
        ("Witty,", ["Witty", ""]),
    ],
)
def test_commas_stand_between_names_and_within_longer_ones(text: str, names: list[str]) -> None:
    assert listed(text) == names


@pytest.mark.parametrize("name", ["", "wittyish", "Baroque", "42", "x" * 65, "\x00"])
def test_an_unknown_style_is_named_in_the_error(name: str) -> None:
    with pytest.raises(InvalidStyle) as caught:
        named(name)
    assert caught.value.extra == {"option": "styles"}
    assert ascii(name[:64])[1:-1] in caught.value.detail.replace("\\x00", "\\x00")
    assert "Poetic" in caught.value.detail


def test_no_alias_means_two_styles() -> None:
    every = [word for words in ALIASES.values() for word in words]
    assert len(every) == len(set(every))
    assert set(MEANINGS) == set(Style)


def test_all_means_every_style_and_each_counts_once() -> None:
    assert styling(styles=["ALL"]).styles == tuple(Style)
    assert styling(styles=["poetic", "Witty", "Poem"]).styles == (Style.POETIC, Style.WITTY)


@pytest.mark.parametrize(
    ("wish", "option"),
    [
        ({"styles": []}, "styles"),
        ({"styles": ["Witty", "Gothic"]}, "styles"),
        ({"count": 0}, "style_count"),
        ({"count": 6}, "style_count"),
        ({"tone": "x" * 501}, "style_tone"),
        ({"tone": "line\nbreak"}, "style_tone"),
        ({"tone": "\x1b[31mred"}, "style_tone"),
        ({"tone": "half \ud800 pair"}, "style_tone"),
        ({"language": "x" * 65}, "style_language"),
        ({"language": "de\x00"}, "style_language"),
        ({"styler": "chatgpt"}, "styler"),
    ],
    ids=str,
)
def test_what_is_wrong_is_named(wish: dict, option: str) -> None:
    with pytest.raises(InvalidStyle) as caught:
        styling(**{"styles": ["all"], **wish})
    assert caught.value.extra["option"] == option
    assert caught.value.detail.startswith(option)
    assert caught.value.detail.isprintable()


def test_a_wish_is_the_same_after_it_was_stored() -> None:
    wish = styling(
        styles=["Short & Punchy", "Q&A"],
        count=5,
        language="de",
        emoji=False,
        hashtags=False,
        tone="  dry, with 👩‍🚀 ",
        styler="OpenAI",
    )
    assert Styling.from_json(wish.to_json()) == wish
    assert wish.styler is Styler.OPENAI
    assert wish.tone == "dry, with 👩‍🚀"
    assert Styling.from_json('{"styles": ["Poetic"], "later": 1}').styles == (Style.POETIC,)
