"""What ``make release-check`` (docs/releasing.md) checks without building or installing anything."""

from pathlib import Path

import pytest

from scripts import release_check

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("check", [release_check.version_is_said_once, release_check.citation_is_valid])
def test_the_checkout_can_be_released(check: release_check.Check) -> None:
    """The version stands in one place, and the citation has what its format requires."""
    assert list(check()) == []


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="an sdist has no history")
def test_nothing_private_is_tracked() -> None:
    """No key, password, index of packages or folder of one machine is in any file."""
    assert list(release_check.nothing_private_is_tracked()) == []


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("KEY = " + "sk-" + "a1B2" * 8, "a key"),
        ("-----BEGIN OPENSSH " + "PRIVATE KEY-----", "a private key"),
        ("proxy: https://me:" + "secret-words@host/", "an address with a password"),
        ("pip install --index-url " + "https://host/simple x", "an index of packages"),
        ("data = '/home/" + "anna/data/x.json'", "a folder of one machine"),
    ],
)
def test_what_is_private_is_found(line: str, what: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With the file and the line; in a doctest it is an example."""
    (tmp_path / "one.py").write_text(f"# one\n{line}\n# >>> {line}\n")
    monkeypatch.setattr(release_check, "ROOT", tmp_path)
    monkeypatch.setattr(release_check, "tracked", lambda: ["one.py"])
    assert list(release_check.nothing_private_is_tracked()) == [f"one.py:2 has {what}"]


def test_a_version_without_a_section_is_not_released(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """CHANGELOG.md has one of each version, with its date, and one for what comes next."""
    monkeypatch.setattr(release_check, "version", lambda: "1.2.0")
    monkeypatch.setattr(release_check, "ROOT", tmp_path)
    (tmp_path / "CHANGELOG.md").write_text("## [1.2.0] - 2026-12-01\n")
    assert list(release_check.changelog_has_the_version()) == [
        "CHANGELOG.md has no section '## [Unreleased]' for what comes next"
    ]
    (tmp_path / "CHANGELOG.md").write_text("## [Unreleased]\n\n## [1.2.0]\n")
    assert list(release_check.changelog_has_the_version()) == ["CHANGELOG.md has no section '## [1.2.0] - YYYY-MM-DD'"]


def test_the_page_names_its_command() -> None:
    """``releasing.md`` says what to type; the Makefile has it."""
    assert "```\nmake release-check\n```" in (ROOT / "docs" / "releasing.md").read_text()
    assert "\nrelease-check: " in (ROOT / "Makefile").read_text()
