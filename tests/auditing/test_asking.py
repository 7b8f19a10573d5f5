"""Which items a judge can be asked about, and what it is shown of them."""

import pytest

from judgebench.auditing.asking import Audit, Part, parts_of
from judgebench.auditing.items import Item, Label
from judgebench.auditing.suites import get_suite
from judgebench.errors import UsageError
from judgebench.models.scripted import ScriptedModel, playing
from judgebench.records import Message
from judgebench.run.settings import Settings


def talk(number: int, turn: int) -> Item:
    """An item of two turns, of which one is judged."""
    return Item(
        id=f"i{number}",
        suite="mtbench-human",
        subset="writing",
        cluster=f"c{number}",
        messages=(Message(role="user", content="Name a colour."),),
        followups=("Why that one?",) if turn == 2 else (),
        responses=(("Blue.", "It is calm.")[:turn], ("Red.", "It is loud.")[:turn]),
        gold=(Label(annotator="p", label="1"),),
        turn=turn,
    )


def prompts(items: tuple[Item, ...], task: str) -> list[str]:
    """The last messages of what a judge is asked about the items in the stored order."""
    with playing(ScriptedModel([])) as spec:
        audit = Audit(Settings(tasks=task, judges=(spec,), starter=True), [Part("talk", items)])
    cases = [audit.protocol.cases(item, ("12",))[0] for item in audit.parts[0].items]
    return [audit.protocol.judges[case.judge].ask(case).messages[-1].content for case in cases]


@pytest.mark.parametrize("task", ["", "mtbench:mode=pairwise", "mtbench"])
def test_second_turns_are_shown_with_the_first(task: str) -> None:
    """Our prompt and MT-Bench's show both questions and, of each response, both answers."""
    (prompt,) = prompts((talk(0, 2),), task)
    assert all(text in prompt for text in ("Name a colour.", "Why that one?", "Blue.", "It is calm."))
    assert ("It is loud." in prompt) == (task != "mtbench")


def test_second_turns_are_left_out_where_the_prompt_shows_one_question() -> None:
    """AlpacaEval's prompt would put the first question beside the second answer: the item goes, the card says so."""
    with playing(ScriptedModel([])) as spec:
        settings = Settings(tasks="alpacaeval", judges=(spec,), starter=True)
        audit = Audit(settings, [Part("talk", (talk(0, 1), talk(1, 2)))])
        assert [item.id for item in audit.parts[0].items] == ["i0"]
        assert audit.notes == ["talk: 1 items of several turns are left out, of which the prompt shows one question"]
        with pytest.raises(UsageError, match="shows one question, and the items of talk have several turns"):
            Audit(settings, [Part("talk", (talk(1, 2),))])


def test_four_responses_are_for_judges_that_rate() -> None:
    """A judge of pairs cannot order RewardBench 2's four responses; one that rates is asked about each by itself."""
    four = Item(
        id="i0",
        suite="rewardbench-2",
        subset="Math",
        cluster="c0",
        messages=(Message(role="user", content="2 + 2?"),),
        responses=(("4",), ("5",), ("6",), ("7",)),
        gold=(Label(annotator="gold", label="1"),),
    )
    part = Part("rewardbench-2", (four,), get_suite("rewardbench-2"))
    with playing(ScriptedModel([])) as spec:
        with pytest.raises(UsageError, match="have 4 responses, which only a judge that rates"):
            Audit(Settings(tasks="", judges=(spec,)), [part])
        audit = Audit(Settings(tasks="mtbench", judges=(spec,), starter=True), [part])
    assert [case.id for case in audit.protocol.cases(four, part.orders(four))] == ["i0#1", "i0#2", "i0#3", "i0#4"]


def test_other_texts_are_other_verdicts() -> None:
    """A part is kept by its suite's texts: of changed ones nothing was judged, and of fewer of them something was."""
    suite = get_suite("llmbar")
    items = (talk(0, 1), talk(1, 1))
    parts = parts_of([(suite, items)], limit=None, repeats=1)
    fewer = parts_of([(suite, items)], limit=1, repeats=1)
    assert [len(parts_of([], limit=limit, repeats=3)[-1].items) for limit in (None, 4, 0.5)] == [20, 4, 10]
    other = parts_of([(suite, (talk(0, 1), talk(1, 2)))], limit=None, repeats=1)
    assert [part.content for part in fewer] == [part.content for part in parts]
    assert other[0].content == parts[0].content
    assert other[1].content != parts[1].content
