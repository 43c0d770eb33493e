"""The pages of the documentation and how each becomes HTML.

A page is a Markdown file of the repository. Links between pages are relative paths, so that they work where the files
lie; `render` turns them into addresses under /docs. Anchors are made as GitHub makes them.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from itertools import pairwise
from os.path import normpath
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import urldefrag

from markdown_it import MarkdownIt
from markdown_it.token import Token
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name  # pyright: ignore[reportUnknownVariableType]
from pygments.util import ClassNotFound

ROOT: Final = Path(__file__).parents[2]
PREFIX: Final = "/docs"
#: Files that pages link to and that are served as they are.
FILES: Final = ("schema/schema.graphql",)
_COMMENT: Final = re.compile(r"<!--.*?-->\n?", re.S)
_LONGEST_TOC_LEVEL: Final = 3


@dataclass(frozen=True, slots=True)
class Page:
    """One page: the last part of its address, its title in the table of contents, its file below the repository."""

    slug: str
    title: str
    path: str

    @property
    def url(self) -> str:
        return f"{PREFIX}/{self.slug}" if self.slug else PREFIX


@dataclass(frozen=True, slots=True)
class Heading:
    """An entry of a page's own table of contents."""

    level: int
    anchor: str
    text: str


@dataclass(frozen=True, slots=True)
class Link:
    """A link as the file has it, and where it leads: an address, or None where there is no such page or file."""

    written: str
    url: str | None


@dataclass(frozen=True, slots=True)
class Rendered:
    """A page as HTML, with its headings, links and every anchor."""

    body: str
    headings: tuple[Heading, ...]
    links: tuple[Link, ...]
    anchors: frozenset[str]


#: The table of contents: groups of pages, in reading order.
CONTENTS: Final[dict[str, tuple[Page, ...]]] = {
    "OCHub": (Page("", "Start here", "README.md"),),
    "Using the API": (
        Page("finding", "Finding charge points", "app/guides/finding.md"),
        Page("following", "Following changes", "app/guides/following.md"),
        Page("publishing", "Publishing", "app/guides/publishing.md"),
        Page("charging", "Charging", "app/guides/charging.md"),
        Page("billing", "Billing", "app/guides/billing.md"),
        Page("prices", "Tariffs and prices", "app/guides/prices.md"),
        Page("partners", "Partners and contracts", "app/guides/partners.md"),
        Page("limits", "Limits and budgets", "app/guides/limits.md"),
        Page("errors", "Errors and codes", "app/guides/errors.md"),
    ),
    "Running the hub": (
        Page("operating", "Operating", "app/guides/operating.md"),
        Page("configuration", "Configuration", "app/guides/configuration.md"),
        Page("commands", "Commands", "app/guides/commands.md"),
    ),
    "Inside": (
        Page("architecture", "Architecture", "app/guides/architecture.md"),
        Page("glossary", "Glossary", "app/guides/glossary.md"),
        Page("decisions", "Decisions", "app/decisions.md"),
        Page("irve-static", "Format: IRVE static", "app/formats/irve/static.md"),
        Page("irve-dynamic", "Format: IRVE dynamic", "app/formats/irve/dynamic.md"),
        Page("query-cases", "Query cases", "tests/queries/README.md"),
    ),
}
PAGES: Final = tuple(page for group in CONTENTS.values() for page in group)
_BY_PATH: Final = {page.path: page for page in PAGES}
_BY_SLUG: Final = {page.slug: page for page in PAGES}


def find_page(slug: str) -> Page | None:
    """Return the page of an address, or None."""
    return _BY_SLUG.get(slug)


def render(page: Page) -> Rendered:
    """Return a page as HTML; rendered again only when its file has changed."""
    return _render_file(page.path, (ROOT / page.path).stat().st_mtime_ns)


@lru_cache(maxsize=2 * len(PAGES))
def _render_file(path: str, _changed_ns: int) -> Rendered:
    return render_text((ROOT / path).read_text("utf-8"), path)


def render_text(text: str, path: str) -> Rendered:
    """Return Markdown as HTML. `path`: the file it comes from, to which its links are relative."""
    markdown = MarkdownIt("commonmark", {"html": False, "highlight": _highlight}).enable(["table", "strikethrough"])
    tokens = markdown.parse(_COMMENT.sub("", text))
    headings = _number_headings(tokens)
    links = tuple(_resolve_links(tokens, path))
    body = markdown.renderer.render(tokens, markdown.options, {})
    body = body.replace("<table>", '<div class="table"><table>').replace("</table>", "</table></div>")
    shown = tuple(heading for heading in headings if 2 <= heading.level <= _LONGEST_TOC_LEVEL)
    return Rendered(body, shown, links, frozenset(heading.anchor for heading in headings))


def _number_headings(tokens: Sequence[Token]) -> list[Heading]:
    """Add an anchor, and a link to itself, to every heading."""
    headings: list[Heading] = []
    taken = Counter[str]()
    for opening, content in pairwise(tokens):
        if opening.type != "heading_open":
            continue
        text = "".join(child.content for child in content.children or ())
        slug = slug_of(text)
        anchor = f"{slug}-{taken[slug]}" if taken[slug] else slug
        taken[slug] += 1
        opening.attrSet("id", anchor)
        if opening.tag != "h1" and content.children is not None:
            content.children = [
                Token("link_open", "a", 1, attrs={"href": f"#{anchor}", "class": "anchor"}),
                *content.children,
                Token("link_close", "a", -1),
            ]
        headings.append(Heading(int(opening.tag[1]), anchor, text))
    return headings


def slug_of(text: str) -> str:
    """Return the anchor that GitHub gives to a heading."""
    return re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")


def _resolve_links(tokens: Sequence[Token], path: str) -> list[Link]:
    links: list[Link] = []
    for token in (child for parent in tokens for child in parent.children or ()):
        if token.type == "link_open" and token.attrGet("class") != "anchor":
            written = str(token.attrGet("href"))
            url = resolve(written, path)
            links.append(Link(written, url))
            token.attrSet("href", url or written)
    return links


def resolve(written: str, path: str) -> str | None:
    """Return the address under /docs of a link in the file `path`; addresses elsewhere are returned as written."""
    target, fragment = urldefrag(written)
    hash_ = f"#{fragment}" if fragment else ""
    if not target:
        return hash_
    if "://" in target:
        return written
    file = normpath(PurePosixPath(path).parent / target)
    if file in _BY_PATH:
        return _BY_PATH[file].url + hash_
    return f"{PREFIX}/{file}" if file in FILES else None


def _highlight(code: str, language: str, _attributes: str) -> str:
    try:
        lexer = get_lexer_by_name(language or "text", stripnl=False)
    except ClassNotFound:
        return escape(code)
    return highlight(code, lexer, HtmlFormatter[str](nowrap=True))
