"""IFEval's rules where they are written anew: equal to the official patterns and programs, and linear in the answer."""

import re
from functools import partial
from pathlib import Path
from typing import Any

import langdetect
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from judgebench.tasks.ifeval import ifbench, instructions, language, multilingual, registry, words
from judgebench.tasks.ifeval.language import language_of
from judgebench.tasks.ifeval.texts import Answer, Text
from judgebench.tasks.ifeval.verification import verify

from judgebench.grading.pool import KILLED, GradingPool, Verifier
from judgebench.records import Check
from tests.tasks.ifeval_data import models, punkt, responses

EXAMPLES = 200


def texts(*pieces: str) -> st.SearchStrategy[str]:
    """Strings of these pieces, of white space that matters, and of a few letters."""
    return st.lists(st.sampled_from([*pieces, " ", "\n", "\t", "\r", "\u00a0", "a", "B", "1"]), max_size=14).map(
        "".join
    )


def one(text: str) -> Text:
    """The text as a rule is given it."""
    return Text(text, Answer(text, None))


def count_official_bullets(text: str) -> int:
    """As lm-eval 0.4.13 counts them (``BulletListChecker``)."""
    stars = re.findall(r"^\s*\*[^\*].*$", text, flags=re.MULTILINE)
    return len(stars) + len(re.findall(r"^\s*-.*$", text, flags=re.MULTILINE))


@settings(max_examples=EXAMPLES)
@given(texts("*", "-", "**", "\n\n", "* "))
@example("*\n* b")
@example("\n \n * a\n\n\n-")
def test_bullets(text: str) -> None:
    """The blank lines that the official pattern crosses do not change the count."""
    count = count_official_bullets(text)
    bullets = instructions.CHECKERS.by_id["detectable_format:number_bullet_lists"].follows
    assert bullets(one(text), num_bullets=count)
    assert not bullets(one(text), num_bullets=count + 1)


@settings(max_examples=EXAMPLES)
@given(texts("[", "]", "[]", "[[", "]]"))
def test_placeholders(text: str) -> None:
    r"""As many as ``\[.*?\]`` has matches."""
    assert instructions.bracketed(text) == len(re.findall(r"\[.*?\]", text))


@settings(max_examples=EXAMPLES)
@given(texts("<", "<<", ">", ">>"))
@example("<<>>")
@example("<<<>>>")
@example("<< >> << a")
def test_titles(text: str) -> None:
    """As ``<<[^\\n]+>>`` finds them."""
    official = any(t.lstrip("<").rstrip(">").strip() for t in re.findall(r"<<[^\n]+>>", text))
    assert instructions.has_title(one(text), "<<", ">>") == official
    other = any(t.lstrip("『").rstrip("』").strip() for t in re.findall("『[^\n]+』", _japanese(text)))
    assert instructions.has_title(one(_japanese(text)), "『", "』") == other


def _japanese(text: str) -> str:
    return text.replace("<", "『").replace(">", "』")


@settings(max_examples=EXAMPLES)
@given(texts("p.", "P.", "S", "s.", "P.P.S", "P.S."), st.sampled_from(["P.S.", "P.P.S", "ps"]))
def test_postscripts(text: str, marker: str) -> None:
    """What the official pattern has around the marker matches always."""
    known = {"P.P.S": r"\s*p\.\s?p\.\s?s.*$", "P.S.": r"\s*p\.\s?s\..*$"}
    official = re.findall(known.get(marker, rf"\s*{marker.lower()}.*$"), text.lower(), flags=re.MULTILINE)
    assert instructions.has_postscript(one(text), marker, instructions.POSTSCRIPTS) == bool(official)


@settings(max_examples=EXAMPLES)
@given(texts("[", "*", "***", "******", "\n\n"), st.integers(1, 3))
def test_pieces(text: str, count: int) -> None:
    """Paragraphs and the two responses, counted as upstream's loops count them."""
    pieces = re.split(r"\s?\*\*\*\s?", text)
    inner_blank = any(not piece.strip() for piece in pieces[1:-1])
    official = not inner_blank and len(pieces) - sum(not pieces[i].strip() for i in {0, len(pieces) - 1}) == count
    assert instructions.number_of_paragraphs(one(text), count) == official
    parts = text.split("******")
    valid = [part for part in parts if part.strip()]
    two = not any(not part.strip() for part in parts[1:-1]) and len(valid) == 2
    assert instructions.two_responses(one(text)) == (two and valid[0].strip() != valid[1].strip())


@settings(max_examples=EXAMPLES)
@given(
    texts("cat", "Cat", "CAT", "ſ", "K", "İ", "ı", "s", "k", "i"), st.sampled_from(["cat", "s", "k", "i", "a b", "c.t"])
)
def test_keywords(text: str, keyword: str) -> None:
    """What is found without an expression is what the expression finds, whatever the case and the script."""
    matches = len(re.findall(keyword, text, flags=re.IGNORECASE))
    assert instructions.occurrences(keyword, one(text)) == matches
    assert instructions.occurs(keyword, one(text)) == bool(matches)
    whole = re.search(rf"\b{keyword}\b", text, flags=re.IGNORECASE)
    assert instructions.lacks_words(one(text), (keyword,)) == (whole is None)


CLOSERS = [("])}>\"'»”’ ", " "), ("])}>\"'", "")]


@settings(max_examples=EXAMPLES)
@given(texts(".", ")", '"', "'", "”", "]"), st.sampled_from(CLOSERS))
def test_final_periods(text: str, rule: tuple[str, str]) -> None:
    """As nltk 3.9.1's two substitutions (``nltk/tokenize/destructive.py``)."""
    closers, between = rule
    official = re.sub(rf"([^\.])(\.)([{re.escape(closers)}]*)\s*$", rf"\1 \2{between}\3 ", text)
    assert words._split_period(text, closers, between) == official


@settings(max_examples=EXAMPLES)
@given(texts("漢", "字", "（", "）", "かな", "（かな）"))
def test_furigana(text: str) -> None:
    """A run of kanji is looked at once."""
    runs = len(re.findall(r"[\u4e00-\u9faf]+", text))
    official = runs == len(re.findall(r"[\u4e00-\u9faf]+（[ぁ-ん]+）", text))
    assert multilingual.furigana(one(text)) == official


@settings(max_examples=EXAMPLES)
@given(texts("¿", "?", "¿¿", "¿?"))
def test_spanish_questions(text: str) -> None:
    """As ``¿[^?]*\\?`` finds them."""
    official = any(found.lstrip("¿").rstrip("?").strip() for found in re.findall(r"¿[^?]*\?", text))
    question = multilingual.CHECKERS.by_id["es:punctuation:question_marks"].follows
    assert question(one(text)) == official


@settings(max_examples=EXAMPLES)
@given(texts("「", "」", "『", "』", "。", "です"))
def test_sentences_outside_quotes(text: str) -> None:
    """As upstream cuts quotes out and splits what is left."""
    value = re.sub("『.*?』", "", re.sub("「.*?」", "", text))
    official = all(part.endswith("です") for part in re.split("[。！？]", value) if part)
    assert multilingual.unified_endings(one(text), "です") == official


@settings(max_examples=EXAMPLES)
@given(st.lists(st.sampled_from(["", " ", "a", " a", "  a", "   b", "   "]), max_size=9).map("\n".join))
def test_stairs(text: str) -> None:
    """As upstream's loop, which shortens the list that it runs over."""
    lines = text.split("\n")
    for line in lines:
        if not line.strip():
            lines.remove(line)
    indents = [len(line) - len(line.lstrip(" ")) for line in lines]
    official = not any(indents[i + 1] <= indents[i] for i in range(len(indents) - 1))
    assert ifbench.stairs(one(text)) == official


AMBIGUOUS = ("A", "STOP", "Je no si", "HI THERE", "o que", "PLAN B", "der na", "ok ok")
"""Words of several languages: without a seed their label changes from call to call."""


def test_a_label_depends_on_its_text_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same each time, whatever texts came before, whatever seed another part of the program gave langdetect."""
    first = {text: language_of(text) for text in AMBIGUOUS}
    for number in range(5):
        monkeypatch.setattr(langdetect.DetectorFactory, "seed", number)
        assert {text: language_of(text) for text in reversed(AMBIGUOUS)} == first


def test_profiles_are_in_the_order_of_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not in that of the file system, on which last bits depend."""
    listing = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda path: sorted(listing(path), reverse=True))
    languages = language._detector.__wrapped__().languages
    assert languages == sorted(languages)
    assert len(languages) == 55


def test_labels_of_real_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """As langdetect's own function gives them: 272 answers and as many of their beginnings, in many languages."""
    monkeypatch.setattr(langdetect.DetectorFactory, "seed", 0)
    for model in models()[:2]:
        for text in list(responses(model).values())[::4]:
            for part in (text, text[:50]):
                assert language_of(part) == official_label(part)


def official_label(text: str) -> str | None:
    """By langdetect's own function; none where it gives up."""
    try:
        return str(langdetect.detect(text))
    except langdetect.LangDetectException:
        return None


# -- hostile answers

SIZE = 200_000
"""Characters. What takes quadratic time takes minutes on so many; what does not, about a second."""
HOSTILE = {
    "spaces": " " * SIZE + "x",
    "lines": "x" + "\n" * SIZE + "x",
    "lines of spaces": ("\n" + " " * 40) * (SIZE // 41) + "x",
    "open brackets": "[" * SIZE,
    "deep": "[" * (SIZE // 2) + "]" * (SIZE // 2),
    "open titles": "<" * SIZE,
    "asterisks": "*" * SIZE,
    "stars and spaces": "* " * (SIZE // 2),
    "stars on lines": "*\n" * (SIZE // 2),
    "dashes on lines": "-\n" * (SIZE // 2),
    "half postscripts": "p. " * (SIZE // 3),
    "periods": "." * SIZE,
    "spaced periods": ". " * (SIZE // 2),
    "an abbreviation and spaces": "e.g." + " " * SIZE + "x",
    "abbreviations": "e.g. " * (SIZE // 5),
    "closed words": "x.)" * (SIZE // 3),
    "quotes": "\"'" * (SIZE // 2),
    "back-ticks": "`" * SIZE,
    "half an address": "a" * SIZE + "@",
    "addresses": "a.b@" * (SIZE // 4),
    "marks": "e\u0301" * (SIZE // 2),
    "kanji": "漢" * SIZE,
    "one word": "A" * SIZE,
    "digits": "9" * SIZE,
    "null": "\x00" * SIZE,
    "half headings": "Section " * (SIZE // 8),
    "open questions": "¿¡「『《（" * (SIZE // 6),
}
ARGUMENTS: dict[str, Any] = {
    "keywords": ["river"],
    "forbidden_words": ["river"],
    "keyword": "river",
    "letter": "q",
    "language": "en",
    "first_word": "river",
    "postscript_marker": "P.S.",
    "section_spliter": "Section",
    "prompt_to_repeat": "a river",
    "end_phrase": "a river",
    "relation": "at least",
    "let_relation": "at least",
    "capital_relation": "at least",
}
"""By name; every other argument is a number that no hostile answer reaches."""


@pytest.mark.parametrize(
    "batch", [list(HOSTILE)[start : start + 7] for start in range(0, len(HOSTILE), 7)], ids=lambda b: b[0]
)
def test_no_answer_takes_more_than_linear_time(batch: list[str]) -> None:
    """All 25 instructions, strict and loose, on long answers made for them: no worker comes near the limit on CPU time,
    which is generous for linear rules and hopeless for others.
    """
    ids = list(instructions.CHECKERS.by_id)
    kwargs = [
        {name: ARGUMENTS.get(name, 10**9) for name in instructions.CHECKERS.by_id[one_id].arguments} for one_id in ids
    ]
    verifiers = {
        "ifeval": Verifier(function=verify, fingerprint="", shared=punkt(), cpu_seconds=60.0),
    }
    checks = [
        Check(
            id=name,
            example_id=name,
            verifier="ifeval",
            arguments={"instruction_ids": ids, "kwargs": kwargs, "response": HOSTILE[name]},
        )
        for name in batch
    ]
    with GradingPool(2) as pool:
        verdicts = pool.verify(verifiers, checks)
    for name, verdict in zip(batch, verdicts, strict=True):
        assert verdict.label not in (*KILLED, "error"), (name, verdict)
        assert len(verdict.details["loose"]) == 25


def test_an_expression_of_the_data_may_explode() -> None:
    """A keyword is an expression: what it does to an answer ends with the worker, and the next verdict is right."""
    verifiers = {"ifeval": Verifier(function=verify, fingerprint="", cpu_seconds=0.5)}

    def check(name: str, keyword: str) -> Check:
        arguments = {
            "instruction_ids": ["keywords:existence"],
            "kwargs": [{"keywords": [keyword]}],
            "response": "a" * 60,
        }
        return Check(id=name, example_id=name, verifier="ifeval", arguments=arguments)

    with GradingPool(1) as pool:
        bad, good = pool.verify(verifiers, [check("bad", "(a|a)+b"), check("good", "aa")])
    assert (bad.value, bad.label) == (0.0, "timeout")
    assert good.value == 1.0


def test_deep_json_is_none() -> None:
    """Python gives up on it; lm-eval would end there."""
    assert not instructions.is_json(one("[" * 200_000 + "]" * 200_000))
    assert not instructions.is_json(one("9" * 5000))
    assert instructions.is_json(one("```json\n[NaN]\n```"))


def test_every_checker_takes_any_text() -> None:
    """All instructions of all three sets on odd texts: a verdict, never an error."""
    odd = ["x", "\x00", "\ud800", "İ", "\u2028", "***\n***", "```", '"', "¿?", "。", "A.", "1,2", "🙂", "<i></i>a"]
    checked = 0
    for checkers in (instructions.CHECKERS, multilingual.CHECKERS, ifbench.CHECKERS):
        for instruction_id, checker in checkers.by_id.items():
            if checker.tables:
                continue
            rule = partial(checker.follows, **checker.settle(instruction_id, arguments_of(checker)))
            for text in odd:
                assert all(isinstance(held, bool) for held in Answer(text, None).follows(rule)), instruction_id
            checked += 1
    assert checked > 100


def arguments_of(checker: registry.Checker) -> dict[str, Any]:
    """Some arguments that the checker takes."""
    candidates = ["word", "w", 2, ["word"], "at least", "al menos", "au moins", "以上", "en", {"a": "b"}]
    found = {}
    for name, kind in checker.arguments.items():
        for candidate in candidates:
            try:
                kind(candidate)
            except ValueError:
                continue
            found[name] = candidate
            break
    return found
