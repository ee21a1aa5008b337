"""The documents lead somewhere: each link between them, and to a file, has a target."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
READMES = [ROOT / "README.md", ROOT / "README.ko.md"]
PAGES = sorted((ROOT / "docs").glob("*.md"))


def prose(path: Path) -> str:
    """Return the text of a document without its code."""
    text = path.read_text(encoding="utf-8")
    return re.sub(r"^```.*?^```|`[^`\n]+`", "", text, flags=re.MULTILINE | re.DOTALL)


def links(path: Path) -> list[str]:
    """Return the targets of the document's links and images, without those on the web."""
    return [
        target
        for target in re.findall(r"\]\(([^)\s]+)\)", prose(path))
        if not target.startswith(("https://", "http://", "mailto:"))
    ]


def anchors(text: str) -> set[str]:
    """Return the anchors of a text's headings, as GitHub derives them."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    seen: dict[str, int] = {}
    found = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *$", text, flags=re.MULTILINE):
        anchor = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        found.add(f"{anchor}-{seen[anchor]}" if anchor in seen else anchor)
        seen[anchor] = seen.get(anchor, 0) + 1
    return found


def broken_links(path: Path) -> list[str]:
    """Return the links of a document that have no target."""
    broken = []
    for link in links(path):
        name, _, anchor = link.partition("#")
        target = (path.parent / name) if name else path
        if not target.exists() or (
            anchor and anchor not in anchors(target.read_text(encoding="utf-8"))
        ):
            broken.append(link)
    return broken


@pytest.mark.parametrize("path", [*READMES, *PAGES], ids=lambda path: path.name)
def test_each_link_has_a_target(path: Path) -> None:
    """Both the file and the heading in it exist."""
    assert broken_links(path) == []


@pytest.mark.parametrize("readme", READMES, ids=lambda path: path.name)
def test_the_readme_leads_to_each_page(readme: Path) -> None:
    """No page can be found only by those who know its name."""
    assert {f"docs/{page.name}" for page in PAGES} <= set(links(readme))


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    """Neither a missing file nor a missing heading passes; code is no link."""
    (tmp_path / "other.md").write_text("# Look up, `close`\n\n# Twice\n\n# Twice\n")
    page = tmp_path / "page.md"
    page.write_text(
        "# Here\n[a](#here) [b](other.md#look-up-close) [c](other.md#twice-1) `[d](no.md)`\n"
        "[e](missing.md) [f](other.md#missing) [g](#missing) [h](https://example.com/missing)\n"
    )

    assert broken_links(page) == ["missing.md", "other.md#missing", "#missing"]


def test_the_architecture_describes_each_package() -> None:
    """A new package gets a paragraph."""
    packages = {
        str(path.parent.relative_to(ROOT))
        for top in ("chalicelib", "localgateway", "provision")
        for path in (ROOT / top).rglob("__init__.py")
    }

    described = re.findall(r"`([\w/.]+)/`", (ROOT / "docs" / "architecture.md").read_text())
    assert packages - {"chalicelib"} <= set(described)
