"""Judge cards: whose models are the judge's own, what a later audit keeps, what is read back."""

import json
from pathlib import Path

import msgspec
import pytest

import judgebench as package
from judgebench.auditing.cards import CARD, Family, cards_of, kept_cards, read_card, read_verdicts
from judgebench.errors import UsageError
from judgebench.models.scripted import ScriptedModel, playing, reply
from judgebench.run.judge_marks import audits_folder
from tests.commands import judgebench
from tests.shared_data import SharedData


def test_a_family_is_a_vendor_s_models_and_what_others_made_of_them() -> None:
    """By name, and by what the user says of a name."""
    of_google = Family(["gemini-2.5-pro", "judge"], {})
    assert of_google("gemma-2-9b-it")
    assert of_google("gemma-2-9b-it-SimPO")
    assert not of_google("gpt-4o")
    assert not of_google("some-sft")
    assert Family(["judge"], {"judge": "acme", "some-sft": "acme"})("some-sft")
    assert not Family(["judge"], {})("judge")


def audited(spec: str, *words: object) -> Path:
    """Audit a judge with as few calls as can be, and return the path of its card."""
    ended = judgebench(["judges", "audit", spec, "--limit", 1, "--repeats", 1, "-q", *words])
    return next(Path(line.strip()) for line in ended.stdout.splitlines() if line.strip().endswith(CARD))


def test_a_later_audit_adds_to_the_card(shared_data: SharedData) -> None:
    """What was found in another suite stays on the card, and its verdicts beside it; its own suite is replaced."""
    folder = shared_data / "judge_meta" / "judgebench"
    with playing(ScriptedModel(lambda _: reply("[[A]]"))) as spec:
        path = audited(spec, "--on", "judgebench", "--mirror", folder, "--offline", "--limit", 4)
        assert [report.judged for report in read_card(path).reports] == [4]
        assert path == audited(spec)
        card = read_card(path)
        assert [report.suite for report in card.reports] == ["judgebench"]
        assert card.probe("position", "judgebench") is not None
        assert card.probe("sanity", "builtin") is not None
        parts = [verdict.part for verdict in read_verdicts(path)]
        assert (parts.count("judgebench"), parts.count("builtin")) == (4, 11)
        audited(spec, "--on", "judgebench", "--mirror", folder, "--offline", "--limit", 6)
        assert [report.judged for report in read_card(path).reports] == [6]


def test_a_card_is_found_by_the_judge_its_model_or_its_path() -> None:
    """And nobody else's is; a card that is none says what was expected."""
    with playing(ScriptedModel(lambda _: reply("[[A]]"), name="judge-1")) as spec:
        path = audited(spec)
    for name in (spec, "judge-1", str(path), str(path.parent)):
        assert [found for found, _ in cards_of(name)] == [path]
    assert cards_of("judge-2") == []
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": 2}))
    with pytest.raises(UsageError, match="is a judge card of version 2"):
        read_card(path)
    assert kept_cards() == []


def test_a_card_survives_its_file() -> None:
    """What is written is read back as the same card, and damage to its verdicts is an error that names the line."""
    with playing(ScriptedModel(lambda _: reply("[[A]]"))) as spec:
        path = audited(spec)
    card = read_card(path)
    assert msgspec.json.decode(msgspec.json.encode(card), type=type(card)) == card
    verdicts = path.with_name("verdicts.jsonl")
    verdicts.write_text(verdicts.read_text() + '{"part": "builtin", "share": 2}\n')
    with pytest.raises(UsageError, match=r"verdicts.jsonl:12: not a ItemVerdict record"):
        read_verdicts(path)
    assert audits_folder() in path.parents


def test_two_prompts_of_one_model_are_two_cards() -> None:
    """A card belongs to a prompt and a rule; a comparison of the two names them by their paths."""
    with playing(ScriptedModel(lambda _: reply("[[A]]"))) as spec:
        ours = audited(spec)
        other = audited(spec, "--task", "mtbench:mode=pairwise", "--starter")
        assert ours != other
        assert {found for found, _ in cards_of(spec)} == {ours, other}
        said = judgebench(["judges", "compare", spec, spec], code=2).stderr
        assert "name one of two prompts of a judge by its card" in said
        shown = judgebench(["judges", "compare", str(ours), str(other), "--json"]).stdout
    judges = json.loads(shown)["judges"]
    assert list(judges.values()) == ["our prompt", "the prompt of the starter set of mtbench@1:mode=pairwise"]


def test_from_python() -> None:
    """The two functions do what the commands do; a card prints as one line."""
    with (
        playing(ScriptedModel(lambda _: reply("[[A]]"), name="one")) as one,
        playing(ScriptedModel(lambda _: reply("[[B]]"), name="two")) as two,
    ):
        cards = [package.audit_judge(spec, limit=1, judge_repeats=1, progress=False) for spec in (one, two)]
        with pytest.raises(UsageError, match="judge_repeats=0; it is 1 or more"):
            package.audit_judge(one, judge_repeats=0, progress=False)
        with pytest.raises(UsageError, match="--repeats 101 is not between 1"):
            package.audit_judge(one, judge_repeats=101, progress=False)
        with pytest.raises(UsageError, match="no suite is called"):
            package.audit_judge(one, "nothing", progress=False)
    assert cards_of(one)[0][0].with_suffix(".html").exists()
    assert repr(cards[0]).startswith("<judgebench.JudgeCard scripted:one was audited on 2026-11-30: same winner")
    (part,) = package.compare_judges(one, two).parts
    assert part.labelled == 8
    assert [figure.value for figure in part.accuracies.values()] == [0.5, 0.5]
