"""The thinking part of a reply: what is answer, what is not, and what never came to an answer."""

import pytest

from judgebench.records import Completion, Example, Generation, Message, Sampling
from judgebench.run.stages import generation_step, to_generation
from judgebench.thinking import SplitReply, Thinking, split_completion, split_generation, split_thinking


@pytest.mark.parametrize(
    ("text", "policy", "expected"),
    [
        ("Four.", "auto", SplitReply("Four.")),
        ("  Four.\n", "auto", SplitReply("  Four.\n")),
        ("<think>two, two</think>\n\nFour. ", "auto", SplitReply("Four. ", "two, two")),
        ("\n<think>\ntwo\n</think>Four.", "auto", SplitReply("Four.", "\ntwo\n")),
        ("two, two</think>Four.", "auto", SplitReply("Four.", "two, two")),
        ("<think></think>Four.", "auto", SplitReply("Four.", "")),
        ("<think>two, two", "auto", SplitReply("", "two, two", unclosed=True)),
        ("<think>a</think>b</think>c", "auto", SplitReply("b</think>c", "a")),
        ("The tag <think> opens it.", "auto", SplitReply("The tag <think> opens it.")),
        ("two, two", "on", SplitReply("", "two, two", unclosed=True)),
        ("two, two</think>Four.", "on", SplitReply("Four.", "two, two")),
        ("<think>two, two</think>Four.", "off", SplitReply("<think>two, two</think>Four.")),
        ("", "auto", SplitReply("")),
    ],
)
def test_a_reply_is_split_where_its_thinking_is_closed(text: str, policy: str, expected: SplitReply) -> None:
    """White space around the tag belongs to neither part; the rest is left as it is."""
    assert split_thinking(text, Thinking(policy)) == expected


def test_what_an_endpoint_told_apart_stays_apart() -> None:
    """The reply's text is the answer; an empty one never came to it."""
    assert split_completion(Completion(text="Four.", reasoning="two"), Thinking("auto")) == SplitReply("Four.", "two")
    unfinished = Completion(text="", reasoning="two")
    assert split_completion(unfinished, Thinking("on")) == SplitReply("", "two", unclosed=True)
    assert split_completion(Completion(text="Four.", reasoning="two"), Thinking("off")) == SplitReply("Four.")


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
