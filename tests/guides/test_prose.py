"""The scanner of prose finds what it should, and the directories that are clean stay clean."""

import pytest

from tests.guides.prose import ROOT, check, files, findings, read_prose

#: A ratchet: a directory (or file) without findings is added here and stays without them.
CLEAN = (
    "README.md",
    "app/cli",
    "app/combined_status.py",
    "app/db",
    "app/decisions.md",
    "app/demo.py",
    "app/demo_charging.py",
    "app/demo_stations.py",
    "app/demo_status.py",
    "app/errors.py",
    "app/exchange",
    "app/formats",
    "app/gc_tuning.py",
    "app/guides",
    "app/http",
    "app/ids.py",
    "app/ingest",
    "app/live",
    "app/logs.py",
    "app/main.py",
    "app/metrics.py",
    "app/read",
    "app/records",
    "app/settings.py",
    "app/uploads",
    "app/visibility",
    "app/vocabulary.py",
    "app/worker_thread.py",
    "geo",
    "migrations",
    "schema/areas.py",
    "schema/build.py",
    "schema/change_pages.py",
    "schema/changes.py",
    "schema/documents.py",
    "schema/endpoint.py",
    "schema/errors.py",
    "schema/examples",
    "schema/field.py",
    "schema/graphql_request.py",
    "schema/ide.py",
    "schema/mutation.py",
    "schema/publishing.py",
    "schema/query.py",
    "schema/query_cost.py",
    "schema/root_fields.py",
    "schema/route.py",
    "schema/scalars.py",
    "schema/schema.graphql",
    "schema/search_arguments.py",
    "schema/select.py",
    "schema/sse.py",
    "schema/subscription.py",
    "schema/types",
    "schema/uploads.py",
    "schema/ws.py",
    "schema/ws_messages.py",
    "tests/benchmarks",
    "tests/conftest.py",
    "tests/databases.py",
    "tests/db",
    "tests/exchange",
    "tests/formats",
    "tests/geo",
    "tests/guides",
    "tests/http",
    "tests/hub.py",
    "tests/ingest",
    "tests/length.py",
    "tests/live",
    "tests/npm.py",
    "tests/queries",
    "tests/read",
    "tests/records",
    "tests/schema",
    "tests/slow_reading.py",
    "tests/soak",
    "tests/test_auth.py",
    "tests/test_benchmarks.py",
    "tests/test_budget.py",
    "tests/test_cli.py",
    "tests/test_combined_status.py",
    "tests/test_connections.py",
    "tests/test_demo.py",
    "tests/test_gc_tuning.py",
    "tests/test_graphql_http.py",
    "tests/test_ids.py",
    "tests/test_layers.py",
    "tests/test_logs.py",
    "tests/test_main.py",
    "tests/test_setup.py",
    "tests/test_visibility.py",
    "tests/uploads",
    "tests/visibility",
    "tests/visibility_matrix.py",
    "tests/waiting.py",
    "tests/wire",
    "tests/world.py",
)


@pytest.mark.parametrize("name", CLEAN)
def test_keeps_clean_what_is_clean(name: str) -> None:
    paths = list(files([ROOT / name]))
    assert paths, f"{name} is gone; correct the list above"
    found = [str(finding) for path in paths for finding in findings(path)]
    assert not found, "\n".join(found)


SAMPLE = '''"""Give every outlet a page."""

# Whoever asks waits.
MESSAGE = "somebody else holds the key"
STATEMENT = "select nobody from sight where told"


def answer():
    """Return the answer.

    The keeper was told of it; `nobody` is a name here.
    """
'''


def test_finds_private_words_in_docstrings_comments_and_messages() -> None:
    found = [(each.line, each.words) for each in check(read_prose(SAMPLE, ".py"), "sample.py")]
    expected = [(1, "Give"), (1, "outlet"), (3, "Whoever"), (4, "somebody else"), (11, "keeper"), (11, "told of")]
    assert set(expected) <= set(found), found
    assert not {(line, words) for line, words in found if line == 5}, "SQL is not prose"
    assert "nobody" not in {words for _, words in found}, "names in backticks are not prose"


def test_finds_private_words_in_markdown_but_not_in_code() -> None:
    text = "# Title\n\nThe log forgets it.\n\n```sh\necho nobody\n```\n\nA `sight` is a name.\n"
    assert [(each.line, each.words) for each in check(read_prose(text, ".md"), "page.md")] == [(3, "forgets")]


def test_finds_private_words_in_descriptions_and_comments_of_schemas() -> None:
    text = '# For who asks\n"""\nWhat nobody sees.\n"""\ntype Sight { id: ID! }\n'
    found = [(each.line, each.words) for each in check(read_prose(text, ".graphql"), "schema.graphql")]
    assert found == [(1, "For who"), (3, "nobody")]


def test_names_a_better_word() -> None:
    [finding] = check(read_prose("-- the horizon\n", ".sql"), "log.sql")
    assert str(finding) == "log.sql:1: 'horizon'; better: snapshot"
