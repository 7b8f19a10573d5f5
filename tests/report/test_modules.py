"""The page's pure functions, run in the browser: word diff, formatting, choice of samples, addresses, and texts."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from judgebench.report.page import ASSETS
from tests.report.looking import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.requires_chromium

MODULES = ("core", "filter", "diff", "markdown", "sample")
TASK = {
    "label": "t",
    "runs": [3, 5],
    "groups": ["category=a", "category=b"],
    "ids": ["one", "two", "three"],
    "prompts": ["First", "second", "THIRD"],
    "in": [[0], [1], [0, 1]],
    "values": [[0.0, 50.0, None], [100.0, 50.0, 25.0]],
    "outcomes": [[3, 2, 0], [1, 2, 3]],
    "flags": [[0, 4, 1], [2, 0, 8]],
    "lengths": [[5, 9, 0], [1, 2, 3]],
    "tenths": [[0, 9, 5], [0, 3, 6]],
    "labels": ["A", "B"],
    "said": [[[0], [1], [0, 1]], [[], [], []]],
}


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """A browser of these tests."""
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def page(browser: "Browser") -> "Page":
    """An empty page in which the modules are functions."""
    parts = [(ASSETS / f"{name}.js").read_text() for name in MODULES]
    text = re.sub(r"^import [^;]*;\n", "", "\n".join(parts), flags=re.MULTILINE)
    names = re.findall(r"^export (?:async )?(?:function\*?|const) (\w+)", text, re.MULTILINE)
    code = re.sub(r"^export ", "", text, flags=re.MULTILINE)
    page = browser.new_page()
    page.evaluate(f"(() => {{ {code}\nObject.assign(window, {{ {', '.join(names)} }}); }})()")
    return page


def ended(page: "Page", steps: str, *given: Any) -> Any:
    """What steps, which are made of ``a`` and ``b``, come to."""
    script = f"""([a, b]) => {{
        const steps = {steps};
        for (;;) {{
            const one = steps.next();
            if (one.done) return one.value;
        }}
    }}"""
    return page.evaluate(script, list(given))


def diffed(page: "Page", first: str, second: str) -> Any:
    """What the word diff says of two texts."""
    return ended(page, "diff(a, b)", first, second)


@pytest.mark.parametrize(
    ("first", "second", "share"),
    [
        ("the same words", "the same words", 1.0),
        ("", "", 0.0),
        ("one two three", "four five six", 0.0),
        ("one two three four", "one two five four", 0.75),
        ("今日は晴れ", "今日は雨", 0.6),
        ("caf\u00e9 na\u00efve", "caf\u00e9 naive", 0.5),
    ],
)
def test_the_share_of_words_in_common(first: str, second: str, share: float, page: "Page") -> None:
    """Of the longer text's words; spaces and signs are not counted; of scripts without spaces each character is."""
    found = diffed(page, first, second)
    assert found["share"] == pytest.approx(share)
    assert "".join(run["text"] for run in found["first"]) == first
    assert "".join(run["text"] for run in found["second"]) == second


def test_what_both_keep_is_equal_in_both(page: "Page") -> None:
    """Pairs of positions rise in both texts and hold equal words."""
    words = [f"w{number % 7}" for number in range(200)]
    other = [word for number, word in enumerate(words) if number % 5] + ["x"] * 3
    kept = ended(page, "common(a, b)", words, other)
    assert kept == sorted(kept)
    assert len({i for i, _ in kept}) == len({j for _, j in kept}) == len(kept) == 160
    assert all(words[i] == other[j] for i, j in kept)


def test_texts_that_have_nothing_in_common_are_not_aligned(page: "Page") -> None:
    """After so many edits it is given up, and said."""
    first, second = (" ".join(f"{letter}{number}" for number in range(4000)) for letter in "ab")
    assert diffed(page, first, second) is None
    # The same words in another order: nothing but the search itself shows that they are too far apart.
    words = [f"w{number}" for number in range(4000)]
    assert diffed(page, " ".join(words), " ".join(reversed(words))) is None


def test_a_comparison_that_nobody_waits_for_is_given_up(page: "Page") -> None:
    """Between its turns it asks, and long texts take several."""
    script = """async ([a, b]) => {
        const slow = function* () {
            const steps = diff(a, b);
            for (let one = steps.next(); ; one = steps.next()) {
                if (one.done) return one.value;
                for (const until = performance.now() + 9; performance.now() < until;);
                yield;
            }
        };
        let asked = 0;
        const whole = await inTurns(slow(), () => ++asked > 0);
        return [whole.share, asked, await inTurns(slow(), () => false)];
    }"""
    texts = [" ".join(f"{'' if number % 3 else letter}{number}" for number in range(1400)) for letter in "ab"]
    share, asked, left = page.evaluate(script, texts)
    assert share == pytest.approx(2 / 3, abs=0.01)
    assert asked > 3
    assert left is None


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("# Title\ntext", [["P", "Title"], ["P", "text"]]),
        ("- a\n- b\n\n3. c", [["UL", "ab"], ["OL", "c"]]),
        ("```py\nx = 1\n```\nafter", [["PRE", "x = 1"], ["P", "after"]]),
        ("```\nnever closed", [["PRE", "never closed"]]),
        ("| a | b |\n|---|---|\n| 1 | 2 |", [["DIV", "ab12"]]),
        ("<b>x</b> [y](javascript:z)", [["P", "<b>x</b> [y](javascript:z)"]]),
        ("", []),
    ],
)
def test_formatting(text: str, made: list[list[str]], page: "Page") -> None:
    """Headings, lists, fences and tables; markup and links stay text."""
    script = "text => [...formatted(text).children].map(one => [one.tagName, one.textContent])"
    assert page.evaluate(script, text) == made


def test_nested_lists(page: "Page") -> None:
    """A list within a list has its own marks and numbers, and the outer one goes on with its own."""
    script = "text => formatted(text).innerHTML"
    text = "2. a\n   - b\n   - c\n      7) d\n3. e\n* f"
    inner = '<ul><li>b</li><li>c<ol start="7"><li>d</li></ol></li></ul>'
    assert page.evaluate(script, text) == f'<ol start="2"><li>a{inner}</li><li>e</li></ol><ul><li>f</li></ul>'


def test_emphasis(page: "Page") -> None:
    """Bold, slanted and code; a lone star is a star."""
    script = (
        "text => [...formatted(text).querySelectorAll('strong, em, code')].map(one => one.tagName + one.textContent)"
    )
    assert page.evaluate(script, "**a b** *c* `d*e*` 2 * 3 * 4 **") == ["STRONGa b", "EMc", "CODEd*e*"]


@pytest.mark.parametrize(
    ("settings", "places"),
    [
        ({}, [0, 1, 2]),
        ({"cat": "category=a"}, [0, 2]),
        ({"cat": "category=none"}, []),
        ({"q": "THI"}, [2]),
        ({"v": "loss"}, [0]),
        ({"v": "loss", "run": "5"}, [2]),
        ({"v": "flip"}, [0]),
        ({"v": "changed"}, [0]),
        ({"v": "both"}, [0, 1]),
        ({"v": "up"}, [0]),
        ({"v": "down"}, []),
        ({"v": "same"}, [1]),
        ({"f": "orders"}, [1]),
        ({"f": "unread", "run": "5"}, [0]),
        ({"f": "error"}, [2]),
        ({"f": "none"}, [2]),
        ({"f": "orders", "v": "tie"}, [1]),
        ({"f": "constructor"}, []),
        ({"w": "longer"}, []),
        ({"w": "shorter"}, [0, 1]),
        ({"lab": "A"}, [0, 2]),
        ({"lab": "no such"}, []),
        ({"q": "first", "in": "judge"}, []),
        ({"q": "no", "in": "judge"}, []),
        ({"m": "loss>win"}, [0]),
        ({"m": "win>loss", "run": "5", "vs": "3"}, [0]),
        ({"l": "9"}, [1]),
        ({"s": "value"}, [0, 1, 2]),
        ({"s": "best"}, [1, 0, 2]),
        ({"s": "length"}, [1, 0, 2]),
        ({"s": "delta"}, [0, 1, 2]),
        ({"s": "constructor", "v": "", "l": "-1"}, [0, 1, 2]),
    ],
)
def test_which_samples_are_listed(settings: dict[str, str], places: list[int], page: "Page") -> None:
    """By the settings of an address; samples without a value stand last in every order."""
    assert page.evaluate("([task, own]) => chosen(task, new Map(own))", [TASK, list(settings.items())]) == places


def test_groups_and_judges_in_words(page: "Page") -> None:
    """A category is called by its value, other groups by both; a judge that no file names is said to be unknown."""
    shown = "['category=Coding', 'turn=2', 'category=', 'a category=b'].map(shownGroup)"
    assert page.evaluate(shown) == ["Coding", "turn=2", "category=", "a category=b"]
    named = "[['score', 'unknown'], ['gpt-4', 'gpt-4']].map(([judge, judge_model]) => judgeOf({ judge, judge_model }))"
    assert page.evaluate(named) == ["score, judge unknown", "gpt-4"]


@pytest.mark.parametrize("word", ["a/b?c=d&e=f#g", "%E0%A4%A", "caf\u00e9 & + %2B", "__proto__", "a>b", " "])
def test_addresses_lead_back(word: str, page: "Page") -> None:
    """What is written into an address is read from it again."""
    found = page.evaluate(
        """word => {
            const { path, settings } = parsed(address(['s', word], [['q', word]]));
            return [path, [...settings]];
        }""",
        word,
    )
    assert found == [["s", word], [["q", word]]]


def test_half_a_character_in_an_address(page: "Page") -> None:
    """It cannot be encoded, and is replaced rather than thrown at."""
    assert page.evaluate("encoded('a\\ud83d b\\ude00 \\ud83d\\ude00')") == "a%EF%BF%BD%20b%EF%BF%BD%20%F0%9F%98%80"


def test_marks_that_are_not_seen_are_shown(page: "Page") -> None:
    """By their numbers, half a character too; line breaks, tabs and what joins pictures stay."""
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    assert page.evaluate("text => visible(text)", family) == family
    assert page.evaluate("text => visible(text)", "a\u200d\U000e0041") == "a⟨200D⟩⟨E0041⟩"
    assert page.evaluate("visible('a\\u202eb\\u0000c\\u200bd\\n\\te\\ud83d')") == "a⟨202E⟩b⟨0000⟩c⟨200B⟩d\n\te⟨D83D⟩"
