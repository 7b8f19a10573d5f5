"""The sentence that says whether one run leads another only because it writes more."""

import pytest

from judgebench.report.only_length import Lead, LengthAnswer, answer_of, as_far_as_lengths_meet, from_few_long_answers

NAMES = ("one", "other")


@pytest.mark.parametrize(
    ("raw", "equal", "short", "words"),
    [
        ((28.41, 26, 31), (21.16, 18.26, 24.06), "Not only",
         "Length explains 7.25 of the 28.41 points by which other leads one in rate: "
         "with equal lengths it still leads by "
         "21.16 (18.26 – 24.06)."),
        ((-1.4, -2.82, 0.03), (-8.42, -12.64, -4.2), "No",
         "Length explains none of the 1.40 points by which one leads other in rate: "
         "with equal lengths it leads by 8.42 "
         "(4.20 – 12.64). The 1.40 points may themselves be chance (-0.03 to 2.82)."),
        ((5, 3, 7), (1, -1, 3), "Perhaps",
         "Length explains 4.00 of the 5.00 points by which other leads one in rate: "
         "with equal lengths it leads by the other "
         "1.00 (-1.00 to 3.00), which may be chance."),
        ((5, 3, 7), (-0.5, -2, 1), "Perhaps",
         "Length explains all of the 5.00 points by which other leads one in rate: "
         "with equal lengths -0.50 are left "
         "(-2.00 to 1.00)."),
        ((5, 3, 7), (-4, -6, -2), "Yes",
         "Length explains all of the 5.00 points by which other leads one in rate: "
         "with equal lengths one leads by 4.00 "
         "(2.00 – 6.00)."),
        ((1, 0.5, 1.5), (2, -1, 5), "No",
         "Length explains none of the 1.00 points by which other leads one in rate: "
         "with equal lengths it leads by 2.00 "
         "(-1.00 to 5.00), which may be chance."),
        ((5, None, None), (4, None, None), "Perhaps",
         "Length explains 1.00 of the 5.00 points by which other leads one in rate: "
         "with equal lengths it leads by the other "
         "4.00, which may be chance."),
    ],
    ids=["less", "gamed", "in-doubt", "gone", "turned", "more", "without-intervals"],
)  # fmt: skip
def test_one_sentence_says_it(
    raw: tuple[float, float | None, float | None],
    equal: tuple[float, float | None, float | None],
    short: str,
    words: str,
) -> None:
    """Seen from the run that leads as answers are; the same whichever of the two runs is named first."""
    found = answer_of(NAMES, Lead(*raw), Lead(*equal), "percent", "rate", "x")
    assert (found.short, found.words) == (short, words)
    assert answer_of(NAMES[::-1], Lead(*raw).turned(), Lead(*equal).turned(), "percent", "rate", "x") == found


@pytest.mark.parametrize(("near", "pairs", "trusted"), [(29, 40, False), (30, 40, True), (54, 803, False)])
def test_a_fit_that_extrapolates_has_no_short_answer(near: int, pairs: int, trusted: bool) -> None:
    """With fewer than 30 pairs of like length, or a tenth, a metric at equal lengths says what no sample shows."""
    answer = LengthAnswer("No", "Length explains none of it.", "lc beside raw")
    found = as_far_as_lengths_meet(answer, "lc", [100] * pairs, [150] * near + [1500] * (pairs - near))
    told = f"{near} of {pairs} pairs of answers differ less than twofold in length"
    if trusted:
        assert found == LengthAnswer("No", answer.words, f"lc beside raw; {told}")
    else:
        assert found.short == ""
        assert found.words.startswith(f"By lc: length explains none of it. But only {told}, so this is extrapolated")


CARRIED = "The lead comes from 1 of 5 samples, in which b wrote more: there it is ahead by 50.00 on average"


@pytest.mark.parametrize(
    ("changes", "longer", "words"),
    [
        ([50, -1, -2, 0, -1], [1], f"{CARRIED}; over the other 4 a is, by 1.00."),
        ([50, 0, 0, 0, 0], [1], f"{CARRIED}; over the other 4 neither is."),
        ([50, 1, 0, 0, 0], [1], ""),
        ([50, -1, -2, 0, -1], [1, 1], ""),
        ([50, -1, -2, 0, -1], [], ""),
        ([-9, 1, 1, 1, 1], [1], ""),
        ([0, 0], [1], ""),
    ],
)  # fmt: skip
def test_a_lead_from_few_long_answers(changes: list[float], longer: list[int], words: str) -> None:
    """It is said where the leader leads only in a fifth of the samples or less, in which it wrote more."""
    lengths = [0] * len(changes), [*longer, *[0] * (len(changes) - len(longer))]
    assert from_few_long_answers(("a", "b"), changes, lengths, "percent") == words
    mirrored = from_few_long_answers(("b", "a"), [-change for change in changes], lengths[::-1], "percent")
    assert mirrored == words
