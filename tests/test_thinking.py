"""The thinking part of a reply: what is answer, what is not, and what never came to an answer."""

import pytest

from judgebench.records import Completion, Example, Generation, Message, Sampling
from judgebench.stages import generation_step, to_generation
from judgebench.thinking import Reply, Thinking, split, split_generation, split_text


@pytest.mark.parametrize(
    ("text", "policy", "expected"),
    [
        ("Four.", "auto", Reply("Four.")),
        ("  Four.\n", "auto", Reply("  Four.\n")),
        ("<think>two, two</think>\n\nFour. ", "auto", Reply("Four. ", "two, two")),
        ("\n<think>\ntwo\n</think>Four.", "auto", Reply("Four.", "\ntwo\n")),
        ("two, two</think>Four.", "auto", Reply("Four.", "two, two")),
        ("<think></think>Four.", "auto", Reply("Four.", "")),
        ("<think>two, two", "auto", Reply("", "two, two", unclosed=True)),
        ("<think>a</think>b</think>c", "auto", Reply("b</think>c", "a")),
        ("The tag <think> opens it.", "auto", Reply("The tag <think> opens it.")),
        ("two, two", "on", Reply("", "two, two", unclosed=True)),
        ("two, two</think>Four.", "on", Reply("Four.", "two, two")),
        ("<think>two, two</think>Four.", "off", Reply("<think>two, two</think>Four.")),
        ("", "auto", Reply("")),
    ],
)
def test_a_reply_is_split_where_its_thinking_is_closed(text: str, policy: str, expected: Reply) -> None:
    """White space around the tag belongs to neither part; the rest is left as it is."""
    assert split_text(text, Thinking(policy)) == expected


def test_what_an_endpoint_told_apart_stays_apart() -> None:
    """The reply's text is the answer; an empty one never came to it."""
    assert split(Completion(text="Four.", reasoning="two"), Thinking("auto")) == Reply("Four.", "two")
    assert split(Completion(text="", reasoning="two"), Thinking("on")) == Reply("", "two", unclosed=True)
    assert split(Completion(text="Four.", reasoning="two"), Thinking("off")) == Reply("Four.")


def test_a_generation_holds_the_answer_and_beside_it_the_thinking() -> None:
    """And nothing is said of thinking where there was none."""
    example = Example(id="1", messages=(Message(role="user", content="2+2?"),))
    made = to_generation(example, "m", [Completion(text="<think>a</think>Four.", finish_reason="stop")])
    assert (made.outputs, made.thinking) == (("Four.",), ("a",))
    assert to_generation(example, "m", [Completion(text="Four.")]).thinking == ()


def test_a_later_turn_is_asked_after_the_answer_without_its_thinking() -> None:
    """As chat templates have it."""
    example = Example(id="1", messages=(Message(role="user", content="2+2?"),), followups=("Sure?",))
    request = generation_step(Sampling(), None)(example, (Completion(text="<think>a</think>Four."),))
    assert request is not None
    assert [message.content for message in request.messages] == ["2+2?", "Four.", "Sure?"]


def test_answers_of_a_file_are_split_once() -> None:
    """Also those that are split already, as a run folder's are."""
    given = Generation(example_id="1", model="m", outputs=("<think>a</think>b</think>c", "plain"))
    made = split_generation(given, Thinking())
    assert (made.outputs, made.thinking) == (("b</think>c", "plain"), ("a", None))
    assert split_generation(made, Thinking()) == made
    assert split_generation(given, Thinking("off")) == given
