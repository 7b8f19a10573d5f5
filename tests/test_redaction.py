"""A secret is shown and stored in none of its forms."""

from urllib.parse import quote, quote_plus

import pytest

from judgebench.redaction import Redactor

SECRET = "ab+c/d=e f%2Bg"


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        quote(SECRET, safe=""),
        quote(SECRET),
        quote(SECRET, safe="").lower(),
        quote_plus(SECRET),
        SECRET.replace("/", "\\/"),
        SECRET.replace("%2B", "+"),
        SECRET.replace("+", " "),
    ],
)
def test_every_form_of_a_secret_goes(form: str) -> None:
    """As it is, percent-encoded in either case, decoded, with JSON's escapes: in messages and in a model's words."""
    redactor = Redactor([SECRET])
    for redact in (redactor.message, redactor.reply):
        assert redact(f"You sent {form}, which is wrong.") == "You sent [key], which is wrong."


def test_words_of_an_answer_stay() -> None:
    """A password that is a word, or a syllable, is taken out of messages alone."""
    redactor = Redactor(["sesame", "x"])
    answer = "Open sesame: box x, next text."
    assert redactor.reply(answer) == answer
    assert redactor.message(answer) == "Open [key]: box [key], next text."


def test_a_secret_like_the_placeholder_nests_nothing() -> None:
    """The word that stands for a secret may be one; however many endpoints have it, a message stays as it is."""
    message = "the key x"
    for _ in range(3):
        message = Redactor(["key"]).message(message)
    assert message == "the key x"


def test_keys_of_anybody_go_from_messages() -> None:
    """What begins as the vendors' keys do is nobody's business."""
    assert Redactor([]).message("Incorrect key sk-proj-abcdef123456 provided") == "Incorrect key [key] provided"
    assert Redactor([]).reply("sk-proj-abcdef123456") == "sk-proj-abcdef123456"
