"""The routes under /docs: every page with the table of contents, readable without JavaScript.

Nothing comes from elsewhere. The one script adds buttons that copy a code block.
"""

from functools import lru_cache
from hashlib import blake2b
from html import escape
from importlib.metadata import version
from pathlib import Path
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app.guides.pages import CONTENTS, FILES, PAGES, PREFIX, ROOT, Heading, Page, Rendered, find_page, render

_HERE: Final = Path(__file__).parent
_ASSETS: Final = {"guides.css": "text/css; charset=utf-8", "guides.js": "text/javascript; charset=utf-8"}
_HTML: Final = "text/html; charset=utf-8"
_TEXT: Final = "text/plain; charset=utf-8"
_VERSION: Final = version("ochub")

_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # Kept by browsers and caches, but asked for again: then the ETag decides.
    "Cache-Control": "public, no-cache",
}


def guide_routes() -> list[BaseRoute]:
    """Return the routes of the documentation."""
    return [
        Route(PREFIX, _serve_page),
        Route(f"{PREFIX}/assets/{{name}}", _serve_asset),
        *(Route(f"{PREFIX}/{file}", _serve_file) for file in FILES),
        Route(f"{PREFIX}/{{slug}}", _serve_page),
    ]


def _serve_page(request: Request) -> Response:
    page = find_page(request.path_params.get("slug", ""))
    if page is None:
        raise HTTPException(404)
    return _answer(request, _html(page, render(page)), _HTML)


def _serve_asset(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in _ASSETS:
        raise HTTPException(404)
    return _answer(request, (_HERE / name).read_bytes(), _ASSETS[name])


def _serve_file(request: Request) -> Response:
    file = request.url.path.removeprefix(f"{PREFIX}/")
    return _answer(request, (ROOT / file).read_bytes(), _TEXT)


def _answer(request: Request, content: bytes, media_type: str) -> Response:
    """Answer with the content, or with 304 where the client has it already."""
    etag = f'"{blake2b(content, digest_size=12).hexdigest()}"'
    headers = {**_HEADERS, "ETag": etag}
    known = (each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(","))
    if any(each in (etag, "*") for each in known):
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=media_type)


@lru_cache(maxsize=64)
def _html(page: Page, rendered: Rendered) -> bytes:
    template = (_HERE / "page.html").read_text("utf-8")
    parts = {
        "title": escape(page.title),
        "version": escape(_VERSION),
        "contents": _contents(page),
        "on_this_page": _on_this_page(rendered.headings),
        "body": rendered.body,
        "next": _next(page),
    }
    for name, part in parts.items():
        template = template.replace("{{ " + name + " }}", part)
    return template.encode()


def _contents(current: Page) -> str:
    groups = (
        f"<h2>{escape(title)}</h2><ul>{''.join(_entry(page, page == current) for page in pages)}</ul>"
        for title, pages in CONTENTS.items()
    )
    return "".join(groups)


def _entry(page: Page, current: bool) -> str:
    mark = ' aria-current="page"' if current else ""
    return f'<li><a href="{page.url}"{mark}>{escape(page.title)}</a></li>'


def _on_this_page(headings: tuple[Heading, ...]) -> str:
    entries = (
        f'<li class="level-{each.level}"><a href="#{escape(each.anchor)}">{escape(each.text)}</a></li>'
        for each in headings
    )
    return f"<h2>On this page</h2><ul>{''.join(entries)}</ul>" if len(headings) > 1 else ""


def _next(page: Page) -> str:
    following = PAGES[PAGES.index(page) + 1 :][:1]
    return "".join(f'<a href="{each.url}">Next: {escape(each.title)}</a>' for each in following)
