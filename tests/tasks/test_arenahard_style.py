"""Style of answers against the features that upstream's own functions wrote."""

import importlib.util
import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from judgebench.tasks.arenahard import style

from judgebench import tasks
from judgebench.data.sources import SourceFinder, read_sources
from judgebench.task import markdown
from tests.patience import patience
from tests.shared_data import SHARED, each
from tests.tasks import arenahard_data as files
from tests.tasks.arenahard_data import (
    ARENA_HARD,
)


def upstreams_counts(text: str) -> tuple[int, int, int]:
    """Upstream's own patterns, which take the square of the number of blank lines, on text without code."""
    lists = [r"^\s*\d+\.\s", r"^\s*[-*+]\s"]
    bold = [r"\*\*[^*\n]+\*\*", r"__[^_\n]+__"]
    headers = [rf"^#{{{level}}}\s" for level in range(1, 7)]

    def count(patterns: list[str]) -> int:
        return sum(len(re.findall(pattern, text, re.MULTILINE)) for pattern in patterns)

    return count(headers), count(lists), count(bold)


@given(st.text(alphabet=" \t\n\r\x0b\u20281.#-*+_a", max_size=60))
def test_markdown_counts_are_upstreams(text: str) -> None:
    """On any text without code, whatever its blank lines, the linear patterns find what upstream's find."""
    counted = markdown.markdown(text)
    assert counted is not None
    assert counted.totals == upstreams_counts(text)


@pytest.mark.parametrize(
    "path",
    each(lambda: sorted(ARENA_HARD.path.glob("answers_*/*.jsonl.gz"))),
    ids=lambda path: path.name.removesuffix(".jsonl.gz"),
)
def test_style_features_are_the_answers_own(path: Path) -> None:
    """Every nested count of every answer that carries metadata equals what upstream's functions wrote."""
    for row in files.read_lines(path):
        counted = markdown.markdown(row["answer"])
        assert counted is not None
        assert row.get("metadata", {}).items() >= {}.items()
        if "metadata" in row:
            assert {k: v for k, v in row["metadata"].items() if k != "token_len"} == msgspec.structs.asdict(counted)


def counter(encoding: str, cache: Path) -> style.TokenCounter:
    """A token counter from the official ranks, if tiktoken and the ranks are here."""
    pytest.importorskip("tiktoken")
    source = read_sources(tasks.folder("arenahard"))[encoding]
    finder = SourceFinder(cache, [SHARED / "upstream"], offline=True)
    if finder.locate(source) is None:
        pytest.skip(f"{source.path} does not lie in upstream/ of the shared data, so no tokens can be counted")
    return style.TokenCounter(encoding, finder.fetch(source)[0])


@pytest.mark.parametrize("encoding", ["o200k_base", "cl100k_base"])
def test_token_lengths_are_the_answers_own(encoding: str, tmp_path: Path) -> None:
    """Every length that an answer file carries is what the encoding, built from its official ranks, counts."""
    tokens, checked = counter(encoding, tmp_path), 0
    for path in ARENA_HARD.path.glob("answers_*/*.jsonl.gz"):
        for row in files.read_lines(path):
            length = (
                row.get("metadata", {}).get("token_len") if encoding == "o200k_base" else row.get("token_len_cl100k")
            )
            if length is not None:
                assert tokens.count(row["answer"]) == length
                checked += 1
    assert checked >= 2000


def test_special_tokens_are_text(tmp_path: Path) -> None:
    """An answer that spells a special token is as long as its letters, and a lone surrogate is not a crash."""
    tokens = counter("o200k_base", tmp_path)
    assert (tokens.count("<|endoftext|>") or 0) > 3
    assert tokens.count("\ud800") is not None


def test_the_pinned_ranks_are_tiktokens() -> None:
    """sources.toml has the hashes, and style.py the patterns, of the installed tiktoken."""
    pytest.importorskip("tiktoken")
    found = importlib.util.find_spec("tiktoken_ext.openai_public")
    assert found is not None
    assert found.origin is not None
    public = Path(found.origin).read_text()
    sources = read_sources(tasks.folder("arenahard"))
    for name, pattern in style.PATTERNS.items():
        assert sources[name].sha256 in public
        assert str(sources[name].url) in public
        longest = max(pattern.split("|"), key=len)
        assert longest in public


def test_removing_code_is_upstreams_to_the_letter() -> None:
    """Fences stay, an inner backtick keeps a block, equal text elsewhere goes too, and a block that holds only a
    newline takes all newlines with it.
    """
    assert markdown.without_code("a```b c```d b c") == "a``````d "
    assert markdown.without_code("```a`b```") == "```a`b```"
    assert markdown.without_code("# x\n```\n```\n# y") == "# x``````# y"
    assert markdown.without_code("``````") == "``````"


def test_hostile_answers_are_counted_quickly_or_not_at_all() -> None:
    """A million blank lines take linear time; an answer of endless code blocks is left uncounted."""
    with patience():
        assert markdown.markdown("\n" * 10**6 + "x") is not None
        assert markdown.markdown("```a```" * 10**6) is None


def test_known_style_takes_nested_and_plain_counts() -> None:
    """Both shapes of metadata are read, and what is not a count is left out."""
    nested = {"token_len": 9, "header_count": {"h1": 1, "h3": 2}, "list_count": {"ordered": 1}, "bold_count": "many"}
    assert style.known_style(nested) == {"token_len": 9.0, "header_count": 3.0, "list_count": 1.0}
    assert style.known_style({"token_len": -1}) == style.known_style([1]) == {}
