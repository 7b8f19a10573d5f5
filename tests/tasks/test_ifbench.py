"""IFBench's instructions that look things up: against upstream's own program, and where their tables are found."""

import gzip
import io
import json
import pickle
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from judgebench.tasks.ifeval import ifbench
from judgebench.tasks.ifeval.emoji import EMOJI
from judgebench.tasks.ifeval.lookup import find
from judgebench.tasks.ifeval.syllables import syllables
from judgebench.tasks.ifeval.tables import Tables, read_stop_words, read_tables
from judgebench.tasks.ifeval.tagger import PICKLE, Tagger, read_json_tagger, read_zipped_tagger
from judgebench.tasks.ifeval.texts import Answer, Text
from judgebench.tasks.ifeval.verification import verify

from judgebench import tasks
from judgebench.data.sources import SourceFinder, read_sources
from judgebench.errors import SourceMissing, UsageError
from judgebench.grading.pool import KILLED, GradingPool, Verifier
from judgebench.records import Check
from judgebench.run.loading import load_task
from tests.shared_data import SharedData
from tests.tasks.ifeval_data import IFEVAL, mirrors, punkt, read_lines

IFBENCH = SharedData("ifbench")
KINDS = {
    "ratio:stop_words": "stop_words",
    "words:odd_even_syllables": "syllables",
    "words:start_verb": "tagger",
    "format:emoji": "punkt",
}
"""The four kinds, each with the table that it looks at."""
HOW = {
    "stop_words": "python -m nltk.downloader stopwords",
    "syllables": "pip install --no-deps syllapy==0.7.2",
    "tagger": "python -m nltk.downloader averaged_perceptron_tagger_eng",
}


@cache
def found(name: str) -> Any:
    """One of the tables, from wherever this machine has it without a network; ``None`` if it has it nowhere."""
    finder = SourceFinder(Path("nowhere"), offline=True)
    sources = read_sources(tasks.folder("ifeval"))
    try:
        tables, _ = read_tables(lambda source: finder.fetch(sources[source])[0], [name])
    except SourceMissing:
        return None
    return getattr(tables, name)


def tables_with(*names: str) -> Tables:
    """The Punkt tables and these; without one of them, the test is left out."""
    own = {name: found(name) for name in names if name != "punkt"}
    if missing := [name for name, table in own.items() if table is None]:
        pytest.skip(f"needs the table {missing[0]}; {HOW[missing[0]]}")
    return Tables(punkt=punkt().punkt, **own)


def answer_of(text: str, tables: Tables) -> Text:
    """A text as a rule is given it, which may be blank."""
    return Text(text, Answer(text, tables))


# -- upstream's verdicts


@pytest.mark.parametrize("kind", KINDS)
def test_every_verdict_is_upstream_s(kind: str) -> None:
    """The four checkers of IFBench@db69a6f on 531 texts: real answers and lines of twelve models, and edge cases."""
    cases = json.loads(gzip.decompress((IFBENCH / "checker_cases.json.gz").read_bytes()))
    assert len(cases) == 531
    tables = tables_with(KINDS[kind])
    checker = find(kind)
    assert checker is not None
    for case in cases:
        kwargs = {"percentage": case["percentage"]} if kind == "ratio:stop_words" else {}
        held = checker.follows(answer_of(case["text"], tables), **checker.settle(kind, kwargs))
        assert held == case["expected"][kind], case["source"]


def test_every_count_is_upstream_s() -> None:
    """What verdicts are made of: words, stop words, syllables by word, first tokens and the tag of the first one."""
    cases = json.loads(gzip.decompress((IFBENCH / "checker_cases.json.gz").read_bytes()))
    stop_words, table, tagger = (found(name) for name in ("stop_words", "syllables", "tagger"))
    for case in cases:
        text = answer_of(case["text"], punkt())
        assert text.words == case["n_words"]
        assert text.first_tokens(3) == case["first_tokens"]
        if stop_words is not None:
            assert ifbench.count_stop_words(text, stop_words) == case["n_stop"]
        if table is not None and "syllables" in case:
            assert [syllables(word, table) for word in ifbench.bare(text.lower).split()] == case["syllables"]
        if tagger is not None and case["first_tokens"]:
            assert tagger.first_tag(case["first_tokens"]) == case["first_tag"]


def test_published_verdicts_of_the_four_kinds() -> None:
    """Upstream's sample answers: strict and loose, as its program rules today and as it published them."""
    rows = json.loads((IFBENCH / "sample_output_verdicts.json").read_text())["rows"]
    answers = {str(row["key"]): row["response"] for row in read_lines("ifbench/sample_output.jsonl.gz")}
    here = [row for row in rows if KINDS[row["id"]] == "punkt" or found(KINDS[row["id"]]) is not None]
    tables = tables_with(*{KINDS[row["id"]] for row in here})
    for row in here:
        details = verify(
            tables, instruction_ids=[row["id"]], kwargs=[row["kwargs"]], response=answers[row["key"]]
        ).details
        verdict = details["strict"][0], details["loose"][0]
        assert verdict == (row["strict"], row["loose"]) == (row["published_strict"], row["published_loose"]), row["key"]
    assert len(here) >= 6


@pytest.mark.parametrize("all_tables", [True, False])
def test_all_prompts_are_asked(all_tables: bool, tmp_path: Path) -> None:
    """300 of 300; of tables that are nowhere to be had, an option leaves their prompts out, and counts them."""
    absent = [name for name in HOW if found(name) is None] if all_tables else list(HOW)
    if all_tables and absent:
        pytest.skip(f"needs the table {absent[0]}; {HOW[absent[0]]}")
    spec = "ifeval@ifbench" + ("" if all_tables else f":without={'+'.join(absent)}")
    (parsed,) = tasks.parse_specs(spec)
    loaded = load_task(parsed, SourceFinder(tmp_path, mirrors(), offline=True), starter=False)
    assert len(loaded.data.examples) + loaded.data.extras.excluded == 300
    assert loaded.data.extras.excluded == (0 if all_tables else 27)
    assert set(loaded.data.extras.unsupported) == (set() if all_tables else set(KINDS) - {"format:emoji"})


def test_a_table_that_is_not_here_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the commands that get it; nothing is left out unasked."""
    monkeypatch.setenv("NLTK_DATA", str(tmp_path))
    monkeypatch.setattr("judgebench.data.sources._package_files", lambda path: iter(()))
    (parsed,) = tasks.parse_specs("ifeval@ifbench")
    with pytest.raises(SourceMissing, match=r"stop-words.*python -m nltk\.downloader stopwords"):
        load_task(parsed, SourceFinder(tmp_path, mirrors(), offline=True), starter=False)
    (parsed,) = tasks.parse_specs("ifeval@ifbench:without=stop_words+tagger")
    with pytest.raises(SourceMissing, match=r"syllables.*pip install --no-deps syllapy==0\.7\.2.*:without=syllables"):
        load_task(parsed, SourceFinder(tmp_path, mirrors(), offline=True), starter=False)


def test_only_tables_can_be_left_out() -> None:
    """And of IFBench alone; the message lists them."""
    with pytest.raises(UsageError, match="stop_words, syllables, tagger"):
        tasks.load(tasks.TaskSpec("ifeval", "ifbench", {"without": "punkt"}))
    with pytest.raises(UsageError, match="no option 'without'"):
        tasks.load(tasks.TaskSpec("ifeval", "1", {"without": "tagger"}))


# -- single rules


def follows(kind: str, text: str, tables: Tables, **kwargs: Any) -> bool:
    """Whether a text follows an instruction strictly."""
    return verify(tables, instruction_ids=[kind], kwargs=[kwargs], response=text).details["strict"] == [True]


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("Good day 😀.", True),
        ("Good day. 😀 And good night. 😀", True),  # the first of the next sentence
        ("Good day 😀. Good night.", False),
        ("Good day 😀x.", True),  # the last character but one
        ("Good day ☀️.", True),  # before its variation selector
        ("Good day 👍🏽.", True),  # a skin tone is one by itself
        ("Good day 🇫🇷.", False),  # letters of a flag are none
        ("Good day 1️⃣.", False),
        ("Good day 👨‍👩‍👧.", True),  # ends in a person
        ("Good day ©.", True),
        ("Good day 😀. ...", False),  # a sentence of marks alone
    ],
)
def test_emoji(text: str, held: bool) -> None:
    """An emoji of one code point is the last character of each sentence or the last but one, or begins the next."""
    assert len(EMOJI) == 1400
    IFEVAL.path  # noqa: B018 - without the Punkt tables the test is left out
    assert follows("format:emoji", text, punkt()) == held


def test_stop_words_are_at_most_a_share() -> None:
    """In percent of all words, the whole of which counts; no words are no share. Editions of the list are one."""
    tables = Tables(stop_words=read_stop_words(b"the\ndon\ndon't\nof\n"))
    assert tables.stop_words == {"the", "don", "of"}
    assert follows("ratio:stop_words", "The end of it", tables, percentage=50.0)
    assert not follows("ratio:stop_words", "The end of it", tables, percentage=49.9)
    assert not follows("ratio:stop_words", "I don't", tables, percentage=33)
    assert not follows("ratio:stop_words", "…!", tables, percentage=100)


def test_syllables_alternate() -> None:
    """By the table, and else by vowels; compounds are one word, and one word follows by itself."""
    tables = Tables(syllables={"area": 3, "happy": 2})
    kind = "words:odd_even_syllables"
    assert follows(kind, "Area, happy area.", tables)
    assert not follows(kind, "area area", tables)
    assert follows(kind, "one", tables)
    assert follows(kind, "2nd try", tables)  # a digit is none, hence even
    assert follows(kind, "happy-area happy", tables)  # happyarea has three by its vowels


def test_the_first_word_is_a_verb() -> None:
    """By the dictionary of words with one tag, else by the sum of weights; equal sums go to the last name."""
    IFEVAL.path  # noqa: B018 - without the Punkt tables the test is left out
    weights = {"i+1 word it": {"VB": 1.5}, "i suffix ing": {"VBG": 1.0, "NN": 1.0}, "bias": {"NN": 1.0, "DT": 1.0}}
    tagger = Tagger(weights=weights, known={"I": "PRP"}, tags=("NN", "DT", "VB", "VBG", "PRP"))
    assert [tagger.first_tag(text.split()) for text in ("Do it", "Run", "running", "I do", "Bit it now")] == [
        "VB",
        "NN",
        "NN",
        "PRP",
        "VB",
    ]
    tables = Tables(punkt=punkt().punkt, tagger=tagger)
    assert follows("words:start_verb", "Do it. Now.", tables)
    assert not follows("words:start_verb", "I do it.", tables)
    assert not follows("words:start_verb", "**Do it", tables)


class Evil:
    """Names a function to be called when it is read."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return exec, ("raise SystemExit('ran')",)


def archive(content: Any) -> bytes:
    """NLTK's archive of a tagger, pickled as theirs is."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as whole:
        whole.writestr(PICKLE, pickle.dumps(content, protocol=2))
    return buffer.getvalue()


def test_the_pickle_may_hold_sets_and_nothing_that_runs() -> None:
    """It is the same model as the JSON files; one that names a function is refused before it is called."""
    weights, known, tags = {"bias": {"NN": 0.5}}, {"I": "PRP"}, {"NN", "PRP"}
    model = read_zipped_tagger(archive((weights, known, tags)))
    files = [json.dumps(part).encode() for part in (weights, known, sorted(tags))]
    other = read_json_tagger(*files)
    assert (model.weights, model.known, set(model.tags)) == (other.weights, other.known, set(other.tags))
    with pytest.raises(UsageError, match=r"it names \w+\.exec"):
        read_zipped_tagger(archive(({"bias": Evil()}, known, tags)))
    for content in (("only", "two"), ({"bias": 3}, known, tags), None):
        with pytest.raises(UsageError, match="weights, words and tags alone"):
            read_zipped_tagger(archive(content))
    with pytest.raises(UsageError, match="weights, words and tags alone"):
        read_zipped_tagger(b"no archive")


def test_a_missing_file_gives_way_to_its_equal() -> None:
    """The tagger is read from the archive where the three files are not to be had, and named alike."""
    model = {"bias": {"NN": 0.5}}, {"I": "PRP"}, {"NN"}

    def fetch(name: str) -> bytes:
        if name == "tagger-archive":
            return archive(model)
        raise SourceMissing(f"{name} is not here")

    tables, named = read_tables(fetch, ["tagger"])
    assert tables.tagger is not None
    assert tables.tagger.weights == model[0]
    assert named == ("averaged_perceptron_tagger_eng as nltk 3.9.1",)
    with pytest.raises(SourceMissing, match="stop-words is not here"):
        read_tables(fetch, ["stop_words"])


def test_long_answers_take_linear_time() -> None:
    """The four kinds, strict and loose, on 200,000 characters made for them."""
    IFEVAL.path  # noqa: B018 - without the Punkt tables the test is left out
    tagger = Tagger(weights={}, known={}, tags=("NN", "VB"))
    tables = Tables(punkt=punkt().punkt, stop_words=frozenset(["the"]), syllables={"area": 3}, tagger=tagger)
    texts = ["a" * 200_000, "the " * 50_000, "😀." * 100_000, "-" * 200_000, "area table\n" * 18_000, "\x00" * 200_000]
    verifiers = {"ifeval": Verifier(function=verify, fingerprint="", shared=tables, cpu_seconds=60.0)}
    kwargs = [{"percentage": 5.0} if kind == "ratio:stop_words" else {} for kind in KINDS]
    checks = [
        Check(
            id=str(number),
            example_id=str(number),
            verifier="ifeval",
            arguments={"instruction_ids": list(KINDS), "kwargs": kwargs, "response": text},
        )
        for number, text in enumerate(texts)
    ]
    with GradingPool(1) as pool:
        verdicts = pool.verify(verifiers, checks)
    assert not [verdict for verdict in verdicts if verdict.label in (*KILLED, "error")]
