"""Writes the table of settings in `docs/reference/settings.md` from `captioner.settings`."""

import sys
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from captioner.settings import Settings

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "settings.md"
START, END = "<!-- made by scripts/docs_settings.py: start -->", "<!-- end -->"
BOUNDS = {"ge": "≥ {}", "gt": "> {}", "le": "≤ {}", "lt": "< {}"}


def table() -> str:
    """The Markdown table: one row a setting, in the order of the class."""
    head = ["| Setting | Default | Allowed | What it sets |", "|---|---|---|---|"]
    rows = [_row(name, field) for name, field in Settings.model_fields.items()]
    return "\n".join([*head, *rows])


def _row(name: str, field: FieldInfo) -> str:
    says = field.description or f"{name.replace('_', ' ').capitalize()}."
    cells = (f"`CAPTIONER_{name.upper()}`", _default(field), _allowed(field), says)
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


def _default(field: FieldInfo) -> str:
    value: Any = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, tuple):
        value = ",".join(map(str, value))
    return f"`{value}`" if value not in (None, "", {}) else "empty"


def _allowed(field: FieldInfo) -> str:
    words = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    bounds = [f"`{word}`" for word in words]
    for rule in field.metadata:
        for name, said in BOUNDS.items():
            limit = getattr(rule, name, None)
            if limit is not None:
                bounds.append(said.format(limit))
    return ", ".join(bounds)


def current() -> str:
    """The page as it should be."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n\n{table()}\n\n{END}{after}"


def main() -> int:
    """Write the page."""
    PAGE.write_text(current(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
