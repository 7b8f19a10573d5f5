"""IFBench's instructions.

Rules: ``allenai/IFBench@db69a6f05689830b0068b8f1529ebcfd2f3b164c:ifbench/instructions.py`` (Apache-2.0). Sentences and
words are NLTK's, as in IFEval. This module knows the sentence that an answer must repeat only by its hash.
"""

import csv
import io
import re
import string
import unicodedata
from collections import Counter
from collections.abc import Collection
from itertools import pairwise, zip_longest
from typing import Any

from judgebench.codec import sha256_hex

from .emoji import EMOJI
from .kinds import any_text, percentage, position, single_word, text, whole_number
from .registry import Checkers
from .syllables import syllables
from .tagger import TOKENS
from .texts import WORD, Text

CHECKERS = Checkers(name="ifbench", version="2")

PUNCTUATION = string.punctuation
EDGES = PUNCTUATION + " "
_NO_PUNCTUATION = str.maketrans("", "", PUNCTUATION)
_PAIRS = {")": "(", "]": "[", "}": "{"}
_PRIMES = frozenset(n for n in range(2, 100) if all(n % divisor for divisor in range(2, n)))
_CONJUNCTIONS = frozenset(("and", "but", "for", "nor", "or", "so", "yet"))
_JAPANESE = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")
_CLUSTER = re.compile("[b-df-hj-np-tv-z]{2}")
_ONLY_SENTENCE = "5e33157f37da8f137c1899801fb56dcae5fccd687d03c683439128ef87d1d0bb"
"""sha256 of the one sentence, in lower case, that an answer must consist of."""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


NAMES = _words("""
    Emma Liam Sophia Jackson Olivia Noah Ava Lucas Isabella Mason Mia Ethan Charlotte Alexander Amelia Benjamin Harper
    Leo Zoe Daniel Chloe Samuel Lily Matthew Grace Owen Abigail Gabriel Ella Jacob Scarlett Nathan Victoria Elijah Layla
    Nicholas Audrey David Hannah Christopher Penelope Thomas Nora Andrew Aria Joseph Claire Ryan Stella Jonathan
""")
PRONOUNS = _words("""
    i me we us you he him she her it they them my mine our ours your yours his hers its their theirs myself ourselves
    yourself yourselves himself herself itself themselves this that these those who whom whose which what whoever
    whomever whatever whichever anybody anyone anything everybody everyone everything nobody nothing somebody someone
    something each either neither both all some any none
""")
CAPITALS = _words("""
    Reykjavik Helsinki Oslo Tallinn Stockholm Riga Moscow Copenhagen Vilnius Minsk Dublin Berlin Amsterdam Warsaw London
    Brussels Prague Luxembourg Paris Vienna Bratislava Budapest Vaduz Chisinau Bern Ljubljana Zagreb
""")
"""Capitals of the European countries above 45 degrees north, from north to south."""


def bare(part: str) -> str:
    """Strip ASCII punctuation."""
    return part.translate(_NO_PUNCTUATION)


def ascii_letters(part: str) -> str:
    """Strip marks from letters, then every character that is not ASCII."""
    return unicodedata.normalize("NFKD", part).encode("ascii", "ignore").decode("ascii")


def sentences(answer: Text) -> list[str]:
    """The sentences of the text."""
    return answer.sentences_of(answer.text)


def rows(value: str, delimiter: str = ",") -> list[list[str]]:
    """Rows of a table; empty if the text is not a table."""
    try:
        return list(csv.reader(io.StringIO(value), delimiter=delimiter))
    except csv.Error:
        return []


# -- count


def _empty_range(min_words: int, max_words: int) -> str | None:
    return "the range is empty" if min_words > max_words else None


@CHECKERS.add("count:word_count_range", obstacle=_empty_range, min_words=whole_number, max_words=whole_number)
def word_count_range(answer: Text, min_words: int, max_words: int) -> bool:
    """The number of words is within the given range."""
    return min_words <= answer.words <= max_words


@CHECKERS.add("count:unique_word_count", N=whole_number)
def unique_word_count(answer: Text, N: int) -> bool:  # noqa: N803 - the data's name
    """At least the given number of different words."""
    return len({word.strip(EDGES) for word in answer.lower.split()}) >= N


@CHECKERS.add("count:conjunctions", small_n=whole_number)
def conjunctions(answer: Text, small_n: int) -> bool:
    """At least the given number of coordinating conjunctions that are spelled differently."""
    return len({word for word in answer.text.split() if word.strip(EDGES).lower() in _CONJUNCTIONS}) >= small_n


def _more_than_all_names(N: int) -> str | None:  # noqa: N803
    return f"there are {len(NAMES)} names" if len(NAMES) < N else None


@CHECKERS.add("count:person_names", obstacle=_more_than_all_names, N=whole_number)
def person_names(answer: Text, N: int) -> bool:  # noqa: N803
    """At least the given number of names from a list."""
    return sum(1 for name in NAMES if re.search(rf"\b{name}\b", answer.text)) >= N


@CHECKERS.add("count:numbers", N=whole_number)
def numbers(answer: Text, N: int) -> bool:  # noqa: N803
    """Exactly the given number of numbers."""
    return len(re.findall(r"\d+", bare(answer.text))) == N


@CHECKERS.add("count:pronouns", needs_sentences=True, N=whole_number)
def pronouns(answer: Text, N: int) -> bool:  # noqa: N803
    """At least the given number of pronouns."""
    return sum(1 for token in answer.tokens_of(answer.text.replace("/", " ").lower()) if token in PRONOUNS) >= N


@CHECKERS.add("count:punctuation")
def all_punctuation(answer: Text) -> bool:
    """Every standard mark, and both marks of an interrobang together."""
    value = answer.text
    if not any(mark in value for mark in ("!?", "?!", "‽")):
        return False
    rest = value.replace("?!", "", 1) if "?!" in value else value.replace("!?", "", 1)
    return all(mark in rest for mark in ".,!?;:")


@CHECKERS.add("count:words_japanese", N=position)
def nth_word_japanese(answer: Text, N: int) -> bool:  # noqa: N803
    """Every n-th word contains a Japanese character, unless it is a number."""
    words = [word.strip(EDGES) for word in answer.text.split()[N - 1 :: N]]
    return all(_JAPANESE.search(word) for word in words if word and not word.isdigit())


OCCURRENCES = {"keyword1": 1, "keyword2": 2, "keyword3": 3, "keyword4": 5, "keyword5": 7}


def _keyword_in_keyword(**keywords: str) -> str | None:
    wanted = [(keywords[name].strip().lower(), times) for name, times in OCCURRENCES.items()]
    for keyword, times in wanted:
        for other, other_times in wanted:
            if times < other_times * other.count(keyword):
                return f"{other!r} is wanted {other_times} times and holds {keyword!r}, which is wanted {times} times"
    return None


def keywords_multiple(answer: Text, **keywords: str) -> bool:
    """Five keywords occur once, twice, three, five and seven times."""
    return all(answer.lower.count(keywords[name].strip().lower()) == times for name, times in OCCURRENCES.items())


CHECKERS.add(
    "count:keywords_multiple",
    needs_sentences=False,
    tables=(),
    obstacle=_keyword_in_keyword,
    **dict.fromkeys(OCCURRENCES, text),
)(keywords_multiple)


# -- format


@CHECKERS.add("format:parentheses")
def nested_parentheses(answer: Text) -> bool:
    """Brackets are nested five deep, and at least the innermost pair is closed."""
    open_brackets: list[str] = []
    deepest = 0
    for character in re.findall(r"[()\[\]{}]", answer.text):
        if character in "([{":
            open_brackets.append(character)
            deepest = max(deepest, len(open_brackets))
        elif open_brackets and open_brackets[-1] == _PAIRS[character]:
            open_brackets.pop()
            if deepest >= 5:
                return True
        else:
            open_brackets, deepest = [], 0
    return False


@CHECKERS.add("format:quotes")
def nested_quotes(answer: Text) -> bool:
    """Double and single quotes are nested three deep and closed."""
    open_quotes: list[str] = []
    deepest = 0
    for character in re.findall("[\"']", answer.text):
        if open_quotes and open_quotes[-1] == character:
            open_quotes.pop()
            if deepest - len(open_quotes) >= 3:
                return True
        else:
            open_quotes.append(character)
            deepest = max(deepest, len(open_quotes))
    return False


@CHECKERS.add("format:options", options=text)
def options(answer: Text, options: str) -> bool:
    """The answer is one of the options and nothing else; lettered options must match exactly."""
    separator = "/" if "/" in options else "or" if "or" in options else ","
    allowed = [option.strip() for option in options.split(separator)]
    if re.match(r"\W*[aA]\W*[bB]\W*[cC]\W*", options):
        return answer.text in allowed
    return answer.text.strip(EDGES).lower() in [option.strip(EDGES).lower() for option in allowed]


@CHECKERS.add("format:newline")
def newline_words(answer: Text) -> bool:
    """As many lines as words."""
    value = bare(answer.text).strip()
    return sum(1 for line in value.split("\n") if line) == len(value.split())


@CHECKERS.add("format:line_indent")
def stairs(answer: Text) -> bool:
    """Each line is indented more than the one before; of adjacent blank lines every other one counts, as upstream."""
    lines = answer.text.split("\n")
    kept = len(lines) // 2
    if kept * (kept - 1) > 2 * len(answer.text):  # so many lines cannot each be longer than the one before
        return False
    for line in lines:  # upstream's own loop over the list that it shortens
        if not line.strip():
            lines.remove(line)
    indents = [len(line) - len(line.lstrip(" ")) for line in lines]
    return all(after > before for before, after in pairwise(indents))


@CHECKERS.add("format:quote_unquote")
def quotes_explained(answer: Text) -> bool:
    """No quote is followed by another or by nothing."""
    value = answer.text.replace("“", '"').replace("”", '"').replace("'\"'", "")
    value = "".join(value.split())
    rest = value.strip(string.digits + PUNCTUATION.replace('"', ""))
    return '""' not in value and not rest.endswith('"')


@CHECKERS.add("format:list", sep=any_text)
def separators(answer: Text, sep: str) -> bool:
    """The separator occurs twice."""
    return answer.text.count(sep) >= 2


@CHECKERS.add("format:thesis")
def italic_thesis(answer: Text) -> bool:
    """Something in italics of HTML with something after it."""
    value = answer.text
    start = value.find("<i>") if "<i>" in value else value.find("<em>")
    if start < 0:
        return False
    value = value[start:]
    end = value.find("</i>") if "</i>" in value else value.find("</em>")
    return end >= 0 and bool(value[3:end].strip()) and bool(value[end + 4 :].strip())


@CHECKERS.add("format:sub-bullets")
def sub_bullets(answer: Text) -> bool:
    """A dash after every asterisk and before the next."""
    return all("-" in bullet for bullet in answer.text.split("*")[1:])


@CHECKERS.add("format:no_bullets_bullets", needs_sentences=True)
def some_bullets(answer: Text) -> bool:
    """At least two sentences, then at least two bullets, then nothing."""
    lines = [line.strip() for line in answer.text.split("\n")]
    first = next((number for number, line in enumerate(lines) if line.startswith("*")), len(lines))
    bullets = lines[first:]
    if len(bullets) < 2 or not all(line.startswith("*") for line in bullets):
        return False
    counts = [len(answer.sentences_of(line)) for line in lines[:first]]
    return all(counts[:-1]) and sum(counts) >= 2  # upstream takes a blank line for the end of the sentences


@CHECKERS.add("format:title_case", needs_sentences=True)
def title_case(answer: Text) -> bool:
    """No word begins with a lower-case letter, except words of mixed case."""
    for word in answer.tokens_of(answer.text):
        first, rest = word[0], word[1:]
        if first.isalpha() and first.islower() and (not rest or rest.isupper() or rest.islower()):
            return False
    return True


@CHECKERS.add("format:output_template")
def output_template(answer: Text) -> bool:
    """The answer has three headings."""
    return all(heading in answer.text for heading in ("My Answer:", "My Conclusion:", "Future Outlook:"))


@CHECKERS.add("format:no_whitespace")
def no_whitespace(answer: Text) -> bool:
    """No white space."""
    return re.search(r"\s", answer.text) is None


@CHECKERS.add("format:emoji", needs_sentences=True)
def emoji_at_ends(answer: Text) -> bool:
    """An emoji ends every sentence, or begins the next one."""
    found = [bare(sentence).strip() for sentence in sentences(answer)]
    return all(found) and all(
        not EMOJI.isdisjoint(sentence[-2:]) or (following is not None and following[0] in EMOJI)
        for sentence, following in zip_longest(found, found[1:])
    )


# -- ratio


_TOLERANCE = 2


def _pieces(value: str) -> set[str]:
    return {value[start : start + 3] for start in range(len(value) - 2)}


def _no_such_share(reference_text: str, percentage: int) -> str | None:
    largest = 100 if _pieces(reference_text) else 0
    return f"the share is {largest} at most" if percentage - _TOLERANCE > largest else None


@CHECKERS.add("ratio:overlap", obstacle=_no_such_share, reference_text=text, percentage=whole_number)
def overlap(answer: Text, reference_text: str, percentage: int) -> bool:
    """A share of the answer's three-character pieces, within 2 points, is the reference's."""
    own, other = _pieces(answer.text), _pieces(reference_text)
    return bool(own) and percentage - _TOLERANCE <= len(own & other) / len(own) * 100 <= percentage + _TOLERANCE


def _endings(answer: Text) -> Counter[str]:
    return Counter(sentence[-1] for sentence in sentences(answer))


def count_stop_words(answer: Text, stop_words: Collection[str]) -> int:
    """How many words are stop words."""
    return sum(1 for word in WORD.finditer(answer.text) if word[0].lower() in stop_words)


@CHECKERS.add("ratio:stop_words", tables=["stop_words"], percentage=percentage)
def few_stop_words(answer: Text, percentage: float) -> bool:
    """At most the given percentage of the words are stop words."""
    stop_words = count_stop_words(answer, answer.table("stop_words"))
    return bool(answer.words) and stop_words / answer.words * 100 <= percentage


@CHECKERS.add("ratio:sentence_type", needs_sentences=True)
def sentence_types(answer: Text) -> bool:
    """Twice as many statements as questions."""
    endings = _endings(answer)
    return endings["."] == 2 * endings["?"]


@CHECKERS.add("ratio:sentence_balance", needs_sentences=True)
def sentence_balance(answer: Text) -> bool:
    """As many statements as questions as exclamations."""
    endings = _endings(answer)
    return endings["."] == endings["?"] == endings["!"]


@CHECKERS.add("ratio:sentence_words", needs_sentences=True)
def equal_sentences(answer: Text) -> bool:
    """Three sentences of one length."""
    lengths = [len(sentence.strip()) for sentence in sentences(answer)]
    return len(lengths) == 3 and len(set(lengths)) == 1


# -- sentence


@CHECKERS.add("sentence:keyword", needs_sentences=True, word=text, N=position)
def keyword_in_sentence(answer: Text, word: str, N: int) -> bool:  # noqa: N803
    """The sentence with the given number contains a keyword."""
    found = sentences(answer)
    return len(found) >= N and re.search(rf"\b{re.escape(word)}\b", found[N - 1], re.IGNORECASE) is not None


@CHECKERS.add("sentence:increment", needs_sentences=True, small_n=whole_number)
def growing_sentences(answer: Text, small_n: int) -> bool:
    """Each sentence has the given number of words more than the one before."""
    counts = [len(bare(sentence).split()) for sentence in sentences(answer)]
    return all(after == before + small_n for before, after in pairwise(counts))


@CHECKERS.add("sentence:alliteration_increment", needs_sentences=True)
def growing_alliteration(answer: Text) -> bool:
    """Each sentence has more alliterating words than the one before."""
    previous = -1
    for sentence in sentences(answer):
        words = [word for word in (part.lstrip(EDGES) for part in sentence.lower().split()) if word]
        alike = [a[0] == b[0] for a, b in pairwise(words)]
        count = sum(1 if before else 2 for before, now in zip([False, *alike], alike, strict=False) if now)
        if count <= previous:
            return False
        previous = count
    return True


# -- words


@CHECKERS.add("words:alphabet")
def alphabet(answer: Text) -> bool:
    """Each word begins with the next letter."""
    words = bare(answer.text).strip(EDGES).split()
    letters = string.ascii_lowercase
    if not words or words[0][0].lower() not in letters:
        return False
    start = letters.index(words[0][0].lower())
    return all(word.lower()[0] == letters[(start + n) % 26] for n, word in enumerate(words[1:], 1))


@CHECKERS.add("words:vowel")
def three_vowels(answer: Text) -> bool:
    """One paragraph that uses at most three of the vowels."""
    return "\n" not in answer.stripped and len(set("aeiou").intersection(answer.stripped.lower())) <= 3


@CHECKERS.add("words:consonants")
def consonant_clusters(answer: Text) -> bool:
    """Every word has two adjacent consonants."""
    return all(_CLUSTER.search(word) for word in answer.lower.split())


@CHECKERS.add("words:palindrome")
def palindromes(answer: Text) -> bool:
    """Ten palindromes of at least five letters."""
    return sum(1 for word in bare(answer.text).lower().split() if len(word) >= 5 and word == word[::-1]) >= 10


@CHECKERS.add("words:prime_lengths")
def prime_lengths(answer: Text) -> bool:
    """Every word has a prime length below 100."""
    return all(len(word) in _PRIMES for word in bare(answer.text).split())


@CHECKERS.add("words:repeats", small_n=whole_number)
def few_repeats(answer: Text, small_n: int) -> bool:
    """No word occurs more often than the limit."""
    return max(Counter(bare(answer.lower).split()).values(), default=0) <= small_n


@CHECKERS.add("words:no_consecutive")
def no_alliteration(answer: Text) -> bool:
    """No two adjacent words begin alike."""
    return all(a[0] != b[0] for a, b in pairwise(bare(answer.lower).split()))


@CHECKERS.add("words:odd_even_syllables", tables=["syllables"])
def alternating_syllables(answer: Text) -> bool:
    """Words with an odd and an even number of syllables alternate."""
    table = answer.table("syllables")
    odd = [syllables(word, table) % 2 for word in bare(answer.lower).split()]
    return all(before != after for before, after in pairwise(odd))


@CHECKERS.add("words:start_verb", needs_sentences=True, tables=["tagger"])
def verb_first(answer: Text) -> bool:
    """The first word is a verb."""
    first = answer.first_tokens(TOKENS)
    return bool(first) and "VB" in answer.table("tagger").first_tag(first)


@CHECKERS.add("words:last_first", needs_sentences=True)
def chained_sentences(answer: Text) -> bool:
    """The last word of each sentence is the first word of the next."""
    found = sentences(answer)
    for one, following in pairwise(found):
        last, first = one.rstrip(EDGES).split()[-1:], following.lstrip(EDGES).split()[:1]
        if not last or not first or last[0].lower() != first[0].lower():
            return False
    return True


@CHECKERS.add("words:paragraph_last_first")
def framed_paragraphs(answer: Text) -> bool:
    """Every line ends with the word it began with."""
    for paragraph in answer.text.split("\n"):
        words = paragraph.strip().lower().strip(EDGES).split()
        if words and words[0] != words[-1]:
            return False
    return True


@CHECKERS.add("words:words_position", needs_sentences=True, keyword=single_word)
def second_words(answer: Text, keyword: str) -> bool:
    """The second word and the second-to-last word are the keyword."""
    words = [word.lower() for word in answer.tokens_of(answer.text)]
    if words and words[-1] in PUNCTUATION:
        if len(words) < 3:
            return False
        words.pop()
    return len(words) >= 2 and words[1] == words[-2] == keyword.strip().lower()


@CHECKERS.add("words:keywords_specific_position", needs_sentences=True, keyword=single_word, n=position, m=position)
def keyword_at(answer: Text, keyword: str, n: int, m: int) -> bool:
    """The keyword is the given word of the given sentence."""
    found = sentences(answer)
    if len(found) < n:
        return False
    words = [token for token in answer.tokens_of(found[n - 1]) if any(map(str.isalnum, token))]
    return len(words) >= m and words[m - 1].lower() == keyword.strip().lower()


# -- repeat


@CHECKERS.add("repeat:repeat_change", prompt_to_repeat=text)
def repeats_changed(answer: Text, prompt_to_repeat: str) -> bool:
    """The prompt with another first word."""
    return answer.text != prompt_to_repeat and answer.text.split()[1:] == prompt_to_repeat.split()[1:]


@CHECKERS.add("repeat:repeat_simple")
def repeats_sentence(answer: Text) -> bool:
    """The answer is one particular sentence and nothing else."""
    return sha256_hex(answer.stripped.lower().encode(errors="replace")) == _ONLY_SENTENCE


def _blank_span(prompt_to_repeat: str, n_start: int, n_end: int) -> str | None:
    return None if prompt_to_repeat[n_start : n_end + 1].strip() else "the span is blank, and so would the answer be"


@CHECKERS.add(
    "repeat:repeat_span", obstacle=_blank_span, prompt_to_repeat=text, n_start=whole_number, n_end=whole_number
)
def repeats_span(answer: Text, prompt_to_repeat: str, n_start: int, n_end: int) -> bool:
    """The answer is a span of the prompt and nothing else."""
    return answer.stripped.lower() == prompt_to_repeat[n_start : n_end + 1].strip().lower()


# -- custom


@CHECKERS.add("custom:multiples")
def multiples(answer: Text) -> bool:
    """The multiples of 7 from 10 to 50, and no other number."""
    return re.findall(r"\d+", answer.text) == [str(number) for number in range(14, 51, 7)]


@CHECKERS.add("custom:mcq_count_length")
def multiple_choice(answer: Text) -> bool:
    """Four ever longer questions of five options."""
    if not answer.text.startswith("Question"):
        return False
    questions = re.split(r"Question \d+[.|):;]?\s*", answer.text)
    questions = [question.strip() for question in questions if question.strip()]
    lengths = []
    for question in questions:
        lines = [line.strip() for line in question.split("\n")]
        options = [number for number, line in enumerate(lines) if re.match(r"[A-Ea-e][.|)]\s*\w", line)]
        if len(options) != 5:
            return False
        lengths.append(len(" ".join(lines[: options[0]]).strip()))
    return len(questions) == 4 and all(a < b for a, b in pairwise(lengths))


@CHECKERS.add("custom:reverse_newline")
def countries_reversed(answer: Text) -> bool:
    """At least 52 lines from Zimbabwe on, in reverse order."""
    lines = [stripped for line in answer.text.split("\n") if (stripped := line.strip(EDGES))]
    start = next((number for number, line in enumerate(lines) if "Zimbabwe" in line), len(lines))
    names = [ascii_letters(line) for line in lines[start:]]
    return len(names) >= 52 and names == sorted(names, reverse=True)


@CHECKERS.add("custom:word_reverse", needs_sentences=True)
def words_reversed(answer: Text) -> bool:
    """Read backwards it is one sentence about the bird."""
    value = " ".join(reversed(bare(answer.stripped.lower()).split()))
    return "bald eagle" in value and value in answer.sentences_of(value)


@CHECKERS.add("custom:character_reverse")
def characters_reversed(answer: Text) -> bool:
    """The bird's name backwards is there."""
    return "bald eagle"[::-1] in answer.lower


@CHECKERS.add("custom:sentence_alphabet", needs_sentences=True)
def sentence_alphabet(answer: Text) -> bool:
    """Twenty-six sentences that begin with the letters in order."""
    found = [sentence.split() for sentence in sentences(answer)]
    return len(found) == 26 and all(
        words and words[0].lower()[0] == letter for words, letter in zip(found, string.ascii_lowercase, strict=True)
    )


@CHECKERS.add("custom:european_capitals_sort")
def capitals_sorted(answer: Text) -> bool:
    """The capitals in order, between commas."""
    return [name.strip() for name in ascii_letters(answer.text).split(",") if name.strip()] == list(CAPITALS)


@CHECKERS.add("custom:csv_city")
def csv_city(answer: Text) -> bool:
    """A table of five certain columns and seven rows."""
    table = rows(answer.text)
    return (
        len(table) == 8
        and table[0] == ["ID", "Country", "City", "Year", "Count"]
        and all(len(row) == 5 for row in table)
    )


def _header(answer: Text, separator: str, *columns: str) -> bool:
    expression = separator.join(f'(?:{column}|"{column}")' for column in columns)
    return re.fullmatch(expression, answer.text.split("\n", 1)[0].strip()) is not None


@CHECKERS.add("custom:csv_special_character")
def csv_special_character(answer: Text) -> bool:
    """A table of five certain columns and fourteen rows; the first special character comes quoted."""
    if not _header(answer, r",[ \t]*", "ProductID", "Category", "Brand", "Price", "Stock"):
        return False
    table = rows(answer.text.replace('"', '"""'))
    if len(table) != 15:
        return False
    for row in table[1:]:
        if len(row) != 5:
            return False
        if any(_special(field) for field in row):
            return True
    return False


def _special(field: str) -> bool:
    r"""As ``re.match(r'".*[^\d\w\s].*"', field)``."""
    line = field.split("\n", 1)[0]
    return line.startswith('"') and re.search(r"[^\w\s]", line[1 : line.rfind('"')]) is not None


@CHECKERS.add("custom:csv_quotes")
def csv_quotes(answer: Text) -> bool:
    """A table of five certain columns, between tabs, and three rows, every field quoted."""
    if not _header(answer, r"\t *", "StudentID", "Subject", "Grade", "Semester", "Score"):
        return False
    table = rows(answer.text.replace('"', '"""'), "\t")
    fields = [field.strip() for row in table for field in row]
    return (
        len(table) == 4
        and all(len(row) == 5 for row in table)
        and all(field.startswith('"') and field.endswith('"') for field in fields)
    )


@CHECKERS.add("custom:date_format_list")
def dates(answer: Text) -> bool:
    """Dates of Napoleon's life between commas."""
    longest = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    for date in answer.text.split(","):
        match: Any = re.fullmatch(r"(\d{4})-(\d{2})-(\d{2})", date.strip())
        if match is None:
            return False
        year, month, day = map(int, match.groups())
        if not 1769 <= year <= 1821 or month > 12 or (month and day > longest[month - 1]):
            return False
    return True
