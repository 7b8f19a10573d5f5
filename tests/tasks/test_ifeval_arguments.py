"""Arguments that no answer can meet, or that are none, are refused when the prompts are read."""

import re
from typing import Any

import pytest
from judgebench.tasks.ifeval import ifbench, instructions, multilingual
from judgebench.tasks.ifeval.dataset import PromptRow, Prompts, read_prompts, read_rows
from judgebench.tasks.ifeval.kinds import text
from judgebench.tasks.ifeval.lookup import find
from judgebench.tasks.ifeval.registry import Checkers
from judgebench.tasks.ifeval.texts import Answer

from judgebench.errors import UsageError
from tests.tasks.ifeval_data import read_lines

NTH = "length_constraints:nth_paragraph_first_word"
KEYWORDS = {"keyword1": "sun", "keyword2": "moon", "keyword3": "star", "keyword4": "sky", "keyword5": "sea"}


def prompts_with(instruction: str, kwargs: dict[str, Any]) -> Prompts:
    """One prompt, as IFBench reads its arguments, which drops null only."""
    row = PromptRow(key=7, prompt="p", instruction_id_list=(instruction,), kwargs=(kwargs,))
    return read_prompts([("7", row)], drop_falsy=False)


@pytest.mark.parametrize(
    ("instruction", "kwargs", "argument"),
    [
        # what cannot be met
        *((f"{language}{NTH}", {"num_paragraphs": 2, "nth_paragraph": 3, "first_word": "so"}, "nth_paragraph 3")
          for language in ("", "es:", "fr:", "ja:")),
        *((f"{language}{NTH}", {"num_paragraphs": 2, "nth_paragraph": 0, "first_word": "so"}, "nth_paragraph 0")
          for language in ("", "es:", "fr:", "ja:")),
        (NTH, {"num_paragraphs": 2, "nth_paragraph": 1, "first_word": "so what"}, "first_word 'so what'"),
        (NTH, {"num_paragraphs": 2, "nth_paragraph": 1, "first_word": "don't"}, 'first_word "don\'t"'),
        (f"es:{NTH}", {"num_paragraphs": 2, "nth_paragraph": 1, "first_word": "Sí, claro"}, "first_word 'Sí, claro'"),
        ("keywords:frequency", {"keyword": "a", "frequency": 0, "relation": "less than"}, "frequency 0"),
        ("fr:keywords:frequency", {"keyword": "a", "frequency": 0, "relation": "moins de"}, "frequency 0"),
        ("keywords:letter_frequency", {"letter": "a", "let_frequency": 0, "let_relation": "less than"},
         "let_frequency 0"),
        ("ja:keywords:letter_frequency", {"letter": "か", "let_frequency": 0, "let_relation": "未満"},
         "let_frequency 0"),
        ("length_constraints:number_words", {"num_words": 0, "relation": "less than"}, "num_words 0"),
        ("fr:length_constraints:number_words", {"num_words": 0, "relation": "moins de"}, "num_words 0"),
        ("length_constraints:number_sentences", {"num_sentences": 1, "relation": "less than"}, "num_sentences 1"),
        ("ja:length_constraints:number_letters", {"num_letters": 1, "relation": "未満"}, "num_letters 1"),
        ("ja:letters:kanji", {"kanji_limit": 0, "relation": "未満"}, "kanji_limit 0"),
        ("change_case:capital_word_frequency", {"capital_frequency": 0, "capital_relation": "less than"},
         "capital_frequency 0"),
        ("fr:change_case:capital_word_frequency", {"capital_frequency": 0, "capital_relation": "moins de"},
         "capital_frequency 0"),
        ("startend:end_checker", {"end_phrase": 'he said "yes"'}, "end_phrase 'he said"),
        ("count:word_count_range", {"min_words": 9.0, "max_words": 8.0}, "min_words 9.0, max_words 8.0"),
        ("count:person_names", {"N": 51.0}, "N 51.0"),
        ("count:keywords_multiple", {**KEYWORDS, "keyword2": "Sun "}, "keyword1 'sun', keyword2 'Sun '"),
        ("count:keywords_multiple", {**KEYWORDS, "keyword5": "sunsun"}, "'sunsun' is wanted 7 times"),
        ("ratio:overlap", {"reference_text": "some text", "percentage": 103}, "percentage 103"),
        ("ratio:overlap", {"reference_text": "so", "percentage": 3}, "percentage 3"),
        ("repeat:repeat_span", {"prompt_to_repeat": "two words", "n_start": 5, "n_end": 4}, "n_start 5, n_end 4"),
        ("repeat:repeat_span", {"prompt_to_repeat": "two words", "n_start": 9, "n_end": 12}, "n_start 9, n_end 12"),
        ("repeat:repeat_span", {"prompt_to_repeat": "two words", "n_start": 3, "n_end": 3}, "n_start 3, n_end 3"),
        ("words:words_position", {"keyword": "two words"}, "keyword 'two words'"),
        ("words:keywords_specific_position", {"keyword": "two words", "n": 1, "m": 1}, "keyword 'two words'"),
        # what counts from 1
        ("words:keywords_specific_position", {"keyword": "word", "n": 0, "m": 1}, "n 0"),
        ("words:keywords_specific_position", {"keyword": "word", "n": 1, "m": 0}, "m 0"),
        ("sentence:keyword", {"word": "word", "N": 0.0}, "N 0.0"),
        ("count:words_japanese", {"N": 0.0}, "N 0.0"),
        # what is none
        ("keywords:existence", {"keywords": []}, "keywords []"),
        ("keywords:existence", {"keywords": ["a", " "]}, "keywords ['a', ' ']"),
        ("keywords:existence", {"keywords": ["a", 1]}, "keywords ['a', 1]"),
        ("keywords:existence", {"keywords": ["C++ (", "b"]}, "keywords ['C++ (', 'b']"),
        ("fr:keywords:forbidden_words", {"forbidden_words": ["[a"]}, "forbidden_words ['[a']"),
        ("keywords:frequency", {"keyword": "(", "frequency": 2, "relation": "at least"}, "keyword '('"),
        ("keywords:frequency", {"keyword": " ", "frequency": 2, "relation": "at least"}, "keyword ' '"),
        ("keywords:frequency", {"keyword": "a", "frequency": 2, "relation": "al menos"}, "relation 'al menos'"),
        ("keywords:frequency", {"keyword": "a", "frequency": 2, "relation": ["at least"]}, "relation ['at least']"),
        ("keywords:frequency", {"keyword": "a", "frequency": True, "relation": "at least"}, "frequency True"),
        ("keywords:frequency", {"keyword": "a", "frequency": 1.5, "relation": "at least"}, "frequency 1.5"),
        ("keywords:frequency", {"keyword": "a", "frequency": float("inf"), "relation": "at least"}, "frequency inf"),
        ("keywords:frequency", {"keyword": "a", "frequency": float("nan"), "relation": "at least"}, "frequency nan"),
        ("detectable_format:multiple_sections", {"section_spliter": "*", "num_sections": 2}, "section_spliter '*'"),
        ("ja:detectable_format:multiple_sections", {"section_spliter": "(", "num_sections": 2}, "section_spliter '('"),
        ("detectable_content:postscript", {"postscript_marker": "(P.S."}, "postscript_marker '(P.S.'"),
        ("combination:repeat_prompt", {"prompt_to_repeat": "\n"}, r"prompt_to_repeat '\n'"),
        ("length_constraints:number_paragraphs", {"num_paragraphs": -1}, "num_paragraphs -1"),
        ("language:response_language", {"language": "tlh"}, "language 'tlh'"),
    ],
)  # fmt: skip
def test_it_is_refused_by_name(instruction: str, kwargs: dict[str, Any], argument: str) -> None:
    """The prompt, its instruction and the argument are named; nothing is asked that cannot be followed."""
    with pytest.raises(UsageError) as refused:
        prompts_with(instruction, kwargs)
    for part in ("the prompt 7 cannot be verified", f"instruction {instruction} ", argument):
        assert part in str(refused.value)


@pytest.mark.parametrize(
    ("instruction", "kwargs", "answer"),
    [
        (NTH, {"num_paragraphs": 3, "nth_paragraph": 3, "first_word": "So"}, "a\n\nb\n\nso, c"),
        ("keywords:frequency", {"keyword": "a", "frequency": 0, "relation": "at least"}, "b"),
        ("keywords:frequency", {"keyword": "a", "frequency": 1, "relation": "less than"}, "b"),
        ("es:keywords:frequency", {"keyword": "a", "frequency": 0, "relation": "como máximo"}, "b"),
        ("length_constraints:number_words", {"num_words": 1, "relation": "less than"}, "!"),
        ("ja:length_constraints:number_letters", {"num_letters": 2, "relation": "未満"}, "あ"),
        ("length_constraints:number_paragraphs", {"num_paragraphs": 0}, "***"),
        ("count:word_count_range", {"min_words": 2.0, "max_words": 2.0}, "two words"),
        ("count:person_names", {"N": 50.0}, " ".join(ifbench.NAMES)),
        (
            "count:keywords_multiple",
            {**KEYWORDS, "keyword1": "starlight"},
            "starlight star star moon moon" + " sky" * 5 + " sea" * 7,
        ),
        ("ratio:overlap", {"reference_text": "some text", "percentage": 102}, "some text"),
        ("ratio:overlap", {"reference_text": "so", "percentage": 2}, "some text"),
        ("repeat:repeat_span", {"prompt_to_repeat": "two words", "n_start": 4, "n_end": 99}, "words"),
        ("words:repeats", {"small_n": 0}, "!"),
        ("format:list", {"sep": "\n"}, "a\nb\nc"),
        ("startend:end_checker", {"end_phrase": '"yes", he said'}, 'It was "yes", he said'),
    ],
)
def test_what_can_just_be_met_is_not_refused(instruction: str, kwargs: dict[str, Any], answer: str) -> None:
    """An answer is there that does."""
    assert prompts_with(instruction, kwargs).examples
    checker = find(instruction)
    assert checker is not None
    settled = checker.settle(instruction, kwargs)
    assert Answer(answer, None).follows(lambda variant: checker.follows(variant, **settled)) == (True, True)


def test_instructions_and_arguments_are_as_many() -> None:
    """Else nobody knows which belong to which."""
    row = PromptRow(key=7, prompt="p", instruction_id_list=("punctuation:no_comma",), kwargs=({}, {}))
    with pytest.raises(UsageError, match="prompt 7 cannot be verified: it has 1 instructions and arguments for 2"):
        read_prompts([("7", row)], drop_falsy=True)


def test_a_package_tells_what_its_rule_cannot_meet() -> None:
    """As the bundled ones do, by a function of the arguments."""
    mine = Checkers(name="mine", version="1")
    obstacle = lambda rhyme: "nothing rhymes with it" if rhyme == "orange" else None  # noqa: E731
    mine.add("poetry:rhyme", obstacle=obstacle, rhyme=text)(lambda answer, rhyme: answer.text.endswith(rhyme[1:]))
    mine.by_id["poetry:rhyme"].require_possible("poetry:rhyme", {"rhyme": "moon"})
    with pytest.raises(ValueError, match="poetry:rhyme with rhyme 'orange': nothing rhymes"):
        mine.by_id["poetry:rhyme"].require_possible("poetry:rhyme", {"rhyme": "orange"})


def test_every_comparison_has_its_obstacle() -> None:
    """A rule that compares a count is asked whether the count can be reached, but for those that mean "at least"."""
    always_at_least = re.compile(r"es:detectable_(content|format):")
    for checkers in (instructions.CHECKERS, multilingual.CHECKERS, ifbench.CHECKERS):
        for instruction_id, checker in checkers.by_id.items():
            if any(name.endswith("relation") for name in checker.arguments):
                assert checker.obstacle or always_at_least.match(instruction_id), instruction_id


def test_all_official_prompts_are_read() -> None:
    """Of all three sets; those left out have an instruction that nobody checks."""
    files = {
        "prompts.jsonl.gz": (541, True),
        "multilingual/es_prompts.jsonl.gz": (115, True),
        "multilingual/fr_prompts.jsonl.gz": (235, True),
        "multilingual/ja_prompts.jsonl.gz": (172, True),
        "ifbench/test.jsonl.gz": (300, False),
    }
    for name, (count, drop_falsy) in files.items():
        rows = [PromptRow(row["key"], row["prompt"], tuple(row["instruction_id_list"]), tuple(row["kwargs"]))
                for row in read_lines(name)]  # fmt: skip
        found = read_prompts([(str(row.key), row) for row in rows], drop_falsy=drop_falsy)
        assert len(found.examples) + found.excluded == len(rows) == count
    assert read_rows(b"") == []
