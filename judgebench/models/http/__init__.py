"""Models behind an HTTP endpoint: three wire protocols, one client that paces, retries and counts.

Which backend a model spec names is decided in ``models.opening``; replies are stored by ``models.call_store``.
"""

import os

OPENAI_BASE_URL = "https://api.openai.com/v1"
ANTHROPIC_BASE_URL = "https://api.anthropic.com"


def openai_address() -> str:
    """Where OpenAI's models are called: at OpenAI, or at the endpoint that OPENAI_BASE_URL names."""
    return os.environ.get("OPENAI_BASE_URL") or OPENAI_BASE_URL


def anthropic_address(base_url: str | None = None) -> str:
    """Where Anthropic's models are called: at ``base_url``, at the endpoint of ANTHROPIC_BASE_URL, or at Anthropic."""
    return base_url or os.environ.get("ANTHROPIC_BASE_URL") or ANTHROPIC_BASE_URL
