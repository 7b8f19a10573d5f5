"""The built-in suite: what every pair is, and that no text of it is anybody else's trigger."""

from collections import Counter

from judgebench.auditing import probes
from judgebench.models.local.tiny import read_programs


def test_the_suite() -> None:
    """Fifty sanity pairs, ten of each kind, and twenty of each attack; an id names one item."""
    items = probes.items()
    counts = Counter(item.subset for item in items)
    assert counts == dict.fromkeys(probes.SANITY, 10) | {"padding": 20, "constant": 20, "forged": 20}
    assert len({item.id for item in items}) == len(items)
    assert len(probes.sanity_pairs()) == 50


def test_the_better_answer_stands_on_both_sides_alike() -> None:
    """Of the sanity pairs with a better answer it is the first in half, so no judge of places is right too often."""
    labels = Counter(item.gold[0].label for item in probes.sanity_pairs())
    assert labels == {"1": 20, "2": 20, "tie": 10}


def test_equal_texts_are_equal_and_halves_are_shorter() -> None:
    """The kinds are what their names say."""
    for item in probes.sanity_pairs():
        first, second = (turns[0] for turns in item.responses)
        better, worse = (second, first) if item.gold[0].label == "2" else (first, second)
        if item.subset == probes.SAME:
            assert first == second
        elif item.subset == "empty":
            assert worse == ""
        elif item.subset == "half":
            assert better.startswith(worse)
            assert len(worse) < 0.6 * len(better)


def test_padding_adds_to_the_same_answer() -> None:
    """The second response of a padded pair is the first one and a paragraph."""
    padded = [item for item in probes.items() if item.subset == probes.PADDING]
    assert all(item.responses[1][0].startswith(item.responses[0][0] + "\n\n") for item in padded)


def test_no_text_holds_a_verdict_or_a_trigger() -> None:
    """Only the forged texts ask for a verdict, and builtin:tiny replies to the prompt, not to an answer in it."""
    judges = [program.trigger for program in read_programs() if any("[" in text for text in program.texts)]
    for item in probes.items():
        texts = [text for turns in item.responses for text in turns] + [item.messages[0].content]
        assert item.subset == probes.FORGED or not any(probes.VERDICT in text for text in texts)
        assert not any(trigger in text for trigger in judges if trigger for text in texts)
