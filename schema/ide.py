"""GraphiQL for developers, with examples.

Nothing of the page comes from elsewhere: its files are ours, GraphiQL and React are npm packages that ./setup put into
node_modules. GraphiQL 4 is the last whose package holds a bundle for the browser; 5 and newer need a build step and an
editor of ten times the size. React 18 is the last with bundles of its own. A bundle holds all that it depends on, which
is why package-lock.json names nothing else: `npm run pins` writes it.

An example is a group of files in `examples`: NAME.graphql, beginning with a comment (its title in the first line, then
what to know about it), NAME.json with its variables, NAME.headers.json where it needs a key.
"""

from dataclasses import asdict, dataclass
from itertools import takewhile
from pathlib import Path

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Scope

HERE = Path(__file__).parent
EXAMPLES = HERE / "examples"
PACKAGES = HERE.parent / "node_modules"
PAGE = "/graphiql"

#: What the page loads, by the name in its address; nothing else of the packages can be had.
FROM_PACKAGES = {
    "react.js": "react/umd/react.production.min.js",
    "react-dom.js": "react-dom/umd/react-dom.production.min.js",
    "graphiql.js": "graphiql/dist/index.umd.js",
    "graphiql.css": "graphiql/dist/style.css",
}
OURS = ("ide.js", "ide.css")

HEADERS = {
    # All from here, and no code in the page itself. GraphiQL's dialogs add a style element, and its style sheet has its
    # fonts and pictures inside.
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self' 'unsafe-inline'",
            "img-src data:",
            "font-src data:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True, slots=True)
class Example:
    """A tab of GraphiQL; `variables` and `headers` are JSON as written, empty where there are none."""

    title: str
    about: str
    query: str
    variables: str
    headers: str


def list_examples() -> tuple[Example, ...]:
    """List the examples in the order of their files."""
    return tuple(_example(path) for path in sorted(EXAMPLES.glob("*.graphql")))


def _example(path: Path) -> Example:
    query = path.read_text("utf-8")
    title, *about = (line.strip("# ") for line in takewhile(lambda line: line.startswith("#"), query.splitlines()))
    variables, headers = (_text(path.with_suffix(suffix)) for suffix in (".json", ".headers.json"))
    return Example(title, " ".join(about), query, variables, headers)


def _text(path: Path) -> str:
    return path.read_text("utf-8") if path.exists() else ""


def ide_routes(packages: Path = PACKAGES) -> list[BaseRoute]:
    """Return the routes of the page; `packages` is where npm put what it loads."""
    assets = {name: packages / path for name, path in FROM_PACKAGES.items()} | {name: HERE / name for name in OURS}

    def page(request: Request) -> Response:
        installed = all(path.is_file() for path in assets.values())
        name, status = ("ide.html", 200) if installed else ("ide-missing.html", 503)
        return FileResponse(HERE / name, status, HEADERS)

    def asset(request: Request) -> Response:
        path = assets.get(request.path_params["name"])
        if path is None or not path.is_file():
            raise HTTPException(404)
        return FileResponse(path, headers=HEADERS)

    def examples(request: Request) -> Response:
        return JSONResponse([asdict(example) for example in list_examples()], headers=HEADERS)

    def to_page(request: Request) -> Response:
        return RedirectResponse(PAGE, headers=HEADERS)

    return [
        Route(PAGE, page),
        Route(f"{PAGE}/assets/examples.json", examples),
        Route(f"{PAGE}/assets/{{name}}", asset),
        BrowserRoute("/graphql", to_page),
    ]


class BrowserRoute(Route):
    """A route for browsers that request a page; other requests go on to the next route of that path."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        looks = scope["type"] == "http" and scope["method"] in {"GET", "HEAD"}
        if looks and "text/html" in Headers(scope=scope).get("accept", ""):
            return super().matches(scope)
        return Match.NONE, {}
