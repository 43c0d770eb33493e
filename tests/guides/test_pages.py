"""The pages as the hub serves them: complete, cached, without anything from elsewhere; every link leads somewhere."""

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urldefrag

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette

from app.guides.pages import FILES, PAGES, ROOT, Page, render, render_text, resolve, slug_of
from app.guides.site import guide_routes

LONGEST_README = 200
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.slug or "readme")


@pytest.fixture(scope="module")
def site() -> Iterator[httpx.Client]:
    """The documentation on a real socket, without a hub."""
    config = uvicorn.Config(Starlette(routes=guide_routes()), port=0, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
        assert thread.is_alive()
    port = server.servers[0].sockets[0].getsockname()[1]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        yield client
    server.should_exit = True
    thread.join(10)


@every_page
def test_serves_every_page_with_the_table_of_contents(site: httpx.Client, page: Page) -> None:
    answer = site.get(page.url)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert f"<title>{page.title} · OCHub</title>" in answer.text
    assert all(f'href="{each.url}"' in answer.text for each in PAGES)
    assert f'<a href="{page.url}" aria-current="page">' in answer.text
    assert "{{ " not in re.sub(r"<pre>.*?</pre>|<code>.*?</code>", "", answer.text, flags=re.S)


@every_page
def test_has_one_title_and_unique_anchors(page: Page) -> None:
    body = render(page).body
    assert body.count("<h1") == 1
    ids = re.findall(r'\bid="([^"]*)"', body)
    assert len(ids) == len(set(ids))


@every_page
def test_has_links_that_resolve(page: Page) -> None:
    by_url = {each.url: render(each).anchors for each in PAGES}
    for link in render(page).links:
        assert link.url is not None, f"{page.path}: {link.written} leads nowhere"
        target, fragment = urldefrag(link.url)
        if "://" in target:
            continue
        if target.removeprefix("/docs/") not in FILES:
            anchors = by_url[target] if target else render(page).anchors
            assert not fragment or fragment in anchors, f"{page.path}: {link.written} has no such heading"
        if target:
            file = (ROOT / page.path).parent / urldefrag(link.written)[0]
            assert file.is_file(), f"{page.path}: {link.written} is no file, so that it fails outside of the hub"


def test_lists_every_guide() -> None:
    listed = {page.path for page in PAGES}
    written = {path.relative_to(ROOT).as_posix() for path in (ROOT / "app").rglob("*.md")}
    assert written <= listed


def test_is_short_at_the_start() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= LONGEST_README


def test_answers_304_to_a_client_that_has_the_page(site: httpx.Client) -> None:
    first = site.get("/docs/finding")
    etag = first.headers["etag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}'):
        again = site.get("/docs/finding", headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    assert site.get("/docs/finding", headers={"If-None-Match": '"other"'}).status_code == 200
    assert site.get("/docs/following").headers["etag"] != etag


@every_page
def test_loads_nothing_from_elsewhere(site: httpx.Client, page: Page) -> None:
    answer = site.get(page.url)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'; script-src 'self'; img-src data:;")
    loaded = re.findall(r'<(?:script|link|img|iframe)[^>]*\b(?:src|href)="([^"]*)"', answer.text)
    assert loaded == ["data:,", "/docs/assets/guides.css", "/docs/assets/guides.js"]
    assert re.findall(r"<script(?![^>]* src=)|<style|\son\w+=\"|javascript:", answer.text) == []
    for address in loaded[1:]:
        asset = site.get(address)
        assert asset.status_code == 200
        assert not re.findall(r"url\(|@import|https?:", asset.text)


def test_serves_the_schema_as_text(site: httpx.Client) -> None:
    answer = site.get("/docs/schema/schema.graphql")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text == (ROOT / "schema/schema.graphql").read_text("utf-8")


@pytest.mark.parametrize("path", ["/docs/nothing", "/docs/assets/site.py", "/docs/..%2Fmain.py", "/docs/app/main.py"])
def test_serves_nothing_else(site: httpx.Client, path: str) -> None:
    assert site.get(path).status_code == 404


def test_follows_a_file_that_changes(tmp_path: Path) -> None:
    page = Page("changing", "Changing", str(tmp_path / "changing.md"))
    (tmp_path / "changing.md").write_text("# One\n")
    assert ">One<" in render(page).body
    (tmp_path / "changing.md").write_text("# Two\n")
    assert ">Two<" in render(page).body


# ---------------------------------------------------------------- Markdown


def test_makes_anchors_as_github_does() -> None:
    assert slug_of("Filters: A to E, `usable(at)`") == "filters-a-to-e-usableat"
    rendered = render_text("## Same\n\n## Same\n", "README.md")
    assert rendered.anchors == {"same", "same-1"}


def test_passes_no_html_of_a_page_on() -> None:
    body = render_text("<script>alert(1)</script> <!-- a comment --> text\n", "README.md").body
    assert "<script>" not in body
    assert "comment" not in body


@pytest.mark.parametrize(
    ("written", "path", "url"),
    [
        ("app/guides/finding.md#areas", "README.md", "/docs/finding#areas"),
        ("../decisions.md", "app/guides/architecture.md", "/docs/decisions"),
        ("../../README.md", "app/guides/architecture.md", "/docs"),
        ("#areas", "app/guides/finding.md", "#areas"),
        ("https://example.org/a", "README.md", "https://example.org/a"),
        ("../main.py", "app/guides/finding.md", None),
        ("../../../../etc/passwd", "app/guides/finding.md", None),
    ],
)
def test_turns_links_between_files_into_addresses(written: str, path: str, url: str | None) -> None:
    assert resolve(written, path) == url
