"""For tests of what comes from npm."""

import json
from pathlib import Path


def pinned(directory: Path) -> set[str]:
    """Return the names of a directory's packages, each pinned by version and hash, and none by a registry's address."""
    wanted = json.loads((directory / "package.json").read_text())["dependencies"]
    text = (directory / "package-lock.json").read_text()
    locked = json.loads(text)["packages"]
    assert locked.pop("")["dependencies"] == wanted
    assert {path: package["version"] for path, package in locked.items()} == {
        f"node_modules/{name}": version for name, version in wanted.items()
    }
    assert all(package["integrity"].startswith("sha512-") for package in locked.values())
    assert "resolved" not in text
    assert "://" not in text
    return set(wanted)
