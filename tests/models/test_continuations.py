"""Prompts and their continuations in tokens, by the rule of lm-eval."""

from judgebench.models.continuations import continuation_tokens, likelihoods, likelihoods_in, split_at_word
from judgebench.records import Completion, Message, Request, Sampling, Usage


def encode_bare(text: str) -> list[int]:
    """Words with the space before them, by length; letters for what is left."""
    pieces: list[str] = []
    for character in text:
        if character == " " or not pieces:
            pieces.append(character)
        else:
            pieces[-1] += character
    return [100 + len(piece) for piece in pieces]


def encode(text: str) -> list[int]:
    """The same after a BOS."""
    return [1, *encode_bare(text)]


def test_spaces_at_the_end_of_a_prompt_belong_to_what_follows() -> None:
    """So a continuation without a space of its own has the tokens of one with it."""
    glued = continuation_tokens(encode, encode_bare, "the sky is ", ["blue"], 1)
    spaced = continuation_tokens(encode, encode_bare, "the sky is", [" blue"], 1)
    assert glued == spaced == ([1, 103, 104, 103], [[105]])
    assert split_at_word("the sky is \n", "blue") == ("the sky is", " \nblue")


def test_after_no_prompt_stands_a_beginning() -> None:
    """It is not counted twice where the continuation begins with it; without one there is nothing to follow."""
    assert continuation_tokens(encode, encode_bare, "", ["a b"], 1) == ([1], [[101, 102]])
    assert continuation_tokens(encode_bare, encode_bare, "", ["a b"], 101) == ([101], [[102]])
    assert continuation_tokens(encode, encode_bare, "", ["a"], None) == ([], [[101]])


def test_likelihoods_stand_in_the_order_of_their_texts() -> None:
    """Equal texts keep their places, and the text of the completion is the likeliest."""
    request = Request(
        messages=(Message(role="user", content="?"),), sampling=Sampling(continuations=("a", "b", "a"), raw=True)
    )
    completion = likelihoods(request, [-2.0, -1.0, -2.0], Usage(), "m")
    assert completion.text == "b"
    assert likelihoods_in(completion, 3) == (-2.0, -1.0, -2.0)
    assert likelihoods_in(completion, 2) is None
    assert likelihoods_in(Completion(text="b"), 3) is None
