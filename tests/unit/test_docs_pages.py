"""Pages of the documentation: links, names of files, decisions."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
READ_BY_PEOPLE = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *PAGES]
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")


@pytest.mark.parametrize("page", READ_BY_PEOPLE, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_somewhere(page: Path) -> None:
    targets = [link.partition("#")[0] for link in LINK.findall(page.read_text(encoding="utf-8"))]
    relative = [target for target in targets if target and "://" not in target]

    assert [target for target in relative if not (page.parent / target).exists()] == []


def test_every_page_is_in_the_navigation() -> None:
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))

    assert sorted(pages_of(config["nav"])) == [str(page.relative_to(DOCS)) for page in PAGES]


@pytest.mark.parametrize("start", [ROOT / "README.md", DOCS / "index.md"], ids=["readme", "index"])
def test_every_guide_and_reference_is_linked_from_the_first_page(start: Path) -> None:
    links = {link.partition("#")[0] for link in LINK.findall(start.read_text(encoding="utf-8"))}
    pages = [page for name in ("guides", "reference") for page in (DOCS / name).glob("*.md")]

    assert {page.relative_to(start.parent).as_posix() for page in pages} <= links


@pytest.mark.parametrize("page", READ_BY_PEOPLE, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_of_ours_that_a_page_names_exist(page: Path) -> None:
    if page.name == "CHANGELOG.md":  # it tells of what was, too
        return
    named = re.findall(r"`((?:api|captioner|cli|scripts|worker)/[\w/.]+)`", page.read_text())

    assert [name for name in named if not (ROOT / name).exists()] == []


def pages_of(nav: object) -> list[str]:
    match nav:
        case str():
            return [nav]
        case dict():
            return [page for value in nav.values() for page in pages_of(value)]
        case list():
            return [page for entry in nav for page in pages_of(entry)]
    raise AssertionError(f"not a part of a navigation: {nav!r}")


def test_the_pages_ask_no_other_host_for_fonts() -> None:
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))

    assert config["theme"]["font"] is False


DECISIONS = sorted((DOCS / "adr").glob("[0-9]*.md"))


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem[:4])
def test_a_decision_is_short_and_says_why_what_and_what_follows(page: Path) -> None:
    lines = page.read_text(encoding="utf-8").splitlines()

    assert len(lines) < 40
    assert lines[0].startswith(f"# {int(page.name[:4])}. ")
    assert [line for line in lines if line.startswith("## ")] == [
        "## Context",
        "## Decision",
        "## Consequences",
    ]


def test_the_list_of_decisions_has_each() -> None:
    listed = LINK.findall((DOCS / "adr" / "index.md").read_text(encoding="utf-8"))

    assert listed == [page.name for page in DECISIONS]


def test_decisions_that_the_code_names_exist() -> None:
    folders = ("api", "captioner", "cli", "migrations", "models", "scripts", "worker")
    code = "".join(
        path.read_text(encoding="utf-8")
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
    )
    named = set(re.findall(r"docs/adr/(\d{4})", code))

    assert named <= {page.name[:4] for page in DECISIONS}
