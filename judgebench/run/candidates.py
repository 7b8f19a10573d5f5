"""What a candidate can do, and how tasks are asked of one that cannot do all they want."""

from collections.abc import Sequence

import msgspec

from judgebench import tasks
from judgebench.activity import doing
from judgebench.errors import UsageError
from judgebench.models import OpenSettings
from judgebench.models.http.endpoint import Endpoint
from judgebench.models.http.probing import gives_likelihoods
from judgebench.models.opening import open_model, parse_model
from judgebench.run.settings import Settings

NO_LIKELIHOODS = "the model under test says nothing of how likely texts are, so it was asked for an answer instead"


def fitted_specs(specs: Sequence[tasks.TaskSpec], settings: Settings, *, ask: bool) -> list[tasks.TaskSpec]:
    """The tasks as the candidate can be asked: those that want log-likelihoods of texts, of one that gives none, with
    their options for it.

    Raises :class:`UsageError` for a task that has no other way.
    """
    fitted = []
    able: bool | None = None
    for spec in specs:
        task, _ = tasks.load(spec, starter=settings.starter)
        if task.reads_likelihoods:
            if settings.refine:
                raise UsageError(f"--refine needs answers, and {task.label} asks how likely texts are; leave it out")
            able = says_likelihoods(settings, ask=ask) if able is None else able
            here = able and (task.plain_prompts or is_local(settings))
            if not here and not task.without_likelihoods:
                what = "texts" if task.plain_prompts else "texts of a chat"
                server = " or a server whose completions have echo and logprobs, such as vLLM's"
                raise UsageError(
                    f"{task.label} asks how likely {what} are, and {settings.model} cannot say so. Take a checkpoint "
                    f"(hf:… or vllm:…){server if task.plain_prompts else ''}"
                )
            if not here:
                spec = msgspec.structs.replace(spec, options={**spec.options, **task.without_likelihoods})
        fitted.append(spec)
    return fitted


def is_local(settings: Settings) -> bool:
    """Whether the candidate's chat template is applied here; one that is not named yet may be."""
    return settings.model is None or parse_model(settings.model, settings.model_args)[0].local


def says_likelihoods(settings: Settings, *, ask: bool) -> bool:
    """Whether the candidate gives log-likelihoods of texts. A server that does not answer now is believed to."""
    if settings.model is None:
        return True
    spec, arguments = parse_model(settings.model, settings.model_args)
    known = spec.backend.gives_likelihoods
    if known is not None or not ask:
        return known is not False
    model = open_model(spec, OpenSettings(arguments=arguments, api_key_env=settings.api_key_env))
    if not isinstance(model, Endpoint):
        return False
    with doing(f"asking {model.name} whether it gives log-likelihoods"):
        return gives_likelihoods(model) is not False
