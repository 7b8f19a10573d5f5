"""What is known of vendors: prices and the ends of models, each with its source and day."""

from datetime import date, timedelta

import pytest

from judgebench.errors import UsageError
from judgebench.models import vendors
from judgebench.models.opening import own_spec, parse_model, price_of, shutdown_of, vendor_of
from judgebench.models.pricing import Price, parse_price
from judgebench.models.vendors import near, today, vendor_at


def on(monkeypatch: pytest.MonkeyPatch, day: str) -> None:
    """Let it be another day."""
    monkeypatch.setenv("JUDGEBENCH_TODAY", day)


def price(spec: str) -> Price | None:
    """The listed price of a model."""
    return price_of(parse_model(spec)[0], {})


def test_every_list_says_where_and_when_it_was_read() -> None:
    """Each vendor and each price list has a source with an address, and a day that is not in the future; no price is
    absurd.
    """
    for vendor in vendors.vendors().values():
        assert vendor.facts.startswith("https://")
        assert vendor.models_page.startswith("https://")
        assert vendor.facts_as_of <= date(2026, 12, 1)
        assert set(vendor.not_read) <= {"logprobs", "batch", "max_completion_tokens", "rate_headers"}
        assert vendor.keys
    for name, prices in vendors.price_lists().items():
        assert vendors.vendors()[name].hosts
        assert prices.source.startswith("https://")
        assert prices.as_of <= date(2026, 11, 30)
        for model in prices.usd_per_million:
            assert prices.price(model) is not None
        for day, later in prices.later.items():
            assert date.fromisoformat(day) > prices.as_of
            assert set(later) <= set(prices.usd_per_million)


@pytest.mark.parametrize(
    ("spec", "prompt", "completion"),
    [
        ("openai:gpt-4.1", 2.0, 8.0),
        ("openai:gpt-4.1-2025-04-14", 2.0, 8.0),
        ("openai:gpt-4o-2024-05-13", 5.0, 15.0),
        ("openai:gpt-4o-2024-08-06", 2.5, 10.0),
        ("openai:gpt-4-0613", 30.0, 60.0),
        ("anthropic:claude-opus-4-5-20251101", 5.0, 25.0),
        ("anthropic:claude-3-7-sonnet-latest", 3.0, 15.0),
        ("https://api.deepseek.com/v1#deepseek-v4-pro", 1.32, 3.96),
        ("https://generativelanguage.googleapis.com/v1beta/openai#gemini-2.5-pro", 1.25, 10.0),
        ("https://openrouter.ai/api/v1#anthropic/claude-opus-4.5", 5.0, 25.0),
        ("https://api.together.xyz/v1#meta-llama/Llama-3.3-70B-Instruct-Turbo", 0.88, 0.88),
    ],
)
def test_a_dated_name_has_the_price_of_the_name_without_its_date(spec: str, prompt: float, completion: float) -> None:
    """Unless it is listed itself, as gpt-4o-2024-05-13 is. The host says whose list holds."""
    known = price(spec)
    assert known is not None
    assert (known.prompt, known.completion) == (prompt, completion)


def test_a_price_is_known_at_its_vendor_only() -> None:
    """A server elsewhere with the name of a vendor's model has no known price; a gateway behind OPENAI_BASE_URL has
    OpenAI's.
    """
    assert price("http://127.0.0.1:9/v1#gpt-4.1") is None
    assert price("openai:gpt-99") is None
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
        assert price("openai:gpt-4.1") == Price(prompt=2.0, completion=8.0, batch=0.5)
        patch.setenv("OPENAI_BASE_URL", "https://api.deepseek.com")
        assert price("openai:deepseek-flash") == Price(prompt=0.3, completion=1.2)
        assert price("openai:gpt-4.1") is None


def test_an_announced_price_holds_from_its_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """Google doubles the price of gemini-4-argon on 1 December 2026."""
    spec = "https://generativelanguage.googleapis.com/v1beta/openai#gemini-4-argon"
    on(monkeypatch, "2026-11-30")
    assert price(spec) == Price(prompt=2.0, completion=10.0)
    on(monkeypatch, "2026-12-01")
    assert price(spec) == Price(prompt=4.0, completion=20.0)


def test_the_age_of_a_list_is_counted_from_its_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """In days."""
    openai = vendors.price_lists()["openai"]
    on(monkeypatch, str(openai.as_of + timedelta(days=91)))
    assert openai.age_days == 91


def test_the_end_of_a_model_is_that_of_its_vendor(monkeypatch: pytest.MonkeyPatch) -> None:
    """gpt-4 ended at OpenAI on 23 October 2026 under every name, gpt-4.1 will on 14 January 2027; the same names
    elsewhere do not end.
    """
    on(monkeypatch, "2026-11-30")
    for name in ("gpt-4", "gpt-4-0613", "gpt-4-0314", "gpt-4-1106-preview", "gpt-4-turbo-2024-04-09"):
        end = shutdown_of(*parse_model(f"openai:{name}"))
        assert end is not None
        assert (end.day, end.over, end.replaced_by) == (date(2026, 10, 23), True, "gpt-5.6-sol")
        assert shutdown_of(*parse_model(f"http://127.0.0.1:9/v1#{name}")) is None
        assert shutdown_of(*parse_model(f"https://my.azure.example/v1#{name}")) is None
    coming = shutdown_of(*parse_model("https://api.openai.com/v1#gpt-4.1-2025-04-14"))
    assert coming is not None
    assert (coming.days_left, coming.over, coming.soon) == (45, False, True)
    assert coming.short == "served until 2027-01-14"
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    assert shutdown_of(*parse_model("openai:gpt-4")) is None
    assert vendor_of(*parse_model("openai:gpt-4")) is None


def test_a_name_that_another_model_answers_to_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """From 1 December 2026 Google has gemini-3.8-flash answer to gemini-2.5-pro."""
    on(monkeypatch, "2026-12-01")
    end = shutdown_of(*parse_model("https://generativelanguage.googleapis.com/v1beta/openai#gemini-2.5-pro"))
    assert end is not None
    assert end.over
    assert end.short == "since 2026-12-01 answered by gemini-3.8-flash"


def test_the_day_can_be_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """``JUDGEBENCH_TODAY`` is a day; anything else is refused by name."""
    on(monkeypatch, "2027-02-01")
    assert today() == date(2027, 2, 1)
    on(monkeypatch, "tomorrow")
    with pytest.raises(UsageError, match="JUDGEBENCH_TODAY='tomorrow' is not a day"):
        today()


def test_a_host_is_compared_as_a_whole() -> None:
    """Neither a longer host nor a user's name makes an address the vendor's."""
    assert vendor_at("https://api.openai.com.evil.example/v1") is None
    assert vendor_at("https://api.openai.com@evil.example/v1") is None
    assert vendor_at("https://[::1/v1") is None
    assert vendor_at("https://API.OpenAI.com/v1") is vendors.vendors()["openai"]


@pytest.mark.parametrize("vendor", ["openai", "anthropic", "google", "deepseek"])
def test_a_bare_name_with_a_price_is_the_vendor_s(vendor: str) -> None:
    """Fingers leave out the vendor; whatever is listed is understood, and has its price."""
    for model in vendors.price_lists()[vendor].usd_per_million:
        assert own_spec(model) == f"{vendors.vendors()[vendor].prefix}:{model}"
        assert price(own_spec(model)) is not None


def test_near_names_ignore_case() -> None:
    """The likeliest first."""
    assert near("GPT-4.1-mni", ["gpt-4.1", "gpt-4.1-mini", "claude-opus-5"])[0] == "gpt-4.1-mini"
    assert near("zzz", ["gpt-4.1"]) == []


@pytest.mark.parametrize("text", ["3", "a/b", "1/2/3", "", "-1/2", "nan/1", "1e9/1"])
def test_a_price_that_is_none_is_refused(text: str) -> None:
    """In one sentence that says what a price is."""
    with pytest.raises(UsageError, match=r"usd_per_million=.* (is not|cannot be) a price"):
        parse_price(text)
