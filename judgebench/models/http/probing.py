"""Finds out by one short call whether an endpoint says how likely texts are after a prompt."""

import http.client
import urllib.error
import urllib.request

from judgebench.models.http.endpoint import Endpoint
from judgebench.models.http.listing import NoRedirect
from judgebench.models.http.wire import NoAnswer
from judgebench.records import Message, Request, Sampling

SECONDS = 30.0
LARGEST_BYTES = 2**20
NOT_OFFERED = (400, 404, 405, 410, 422, 501)
"""Statuses of an endpoint that does not know such a call; any other says nothing about that."""
_PROBE = Request(
    messages=(Message(role="user", content="The sky is"),), sampling=Sampling(continuations=(" blue",), raw=True)
)


def gives_likelihoods(endpoint: Endpoint) -> bool | None:
    """Whether the endpoint gives log-likelihoods of texts; ``None`` if it cannot be reached or asked now."""
    headers = {name: value for name, value in endpoint.headers.items() if name != "Accept-Encoding"}
    url = str(endpoint.url_of(endpoint.wire_for(_PROBE)))
    call = urllib.request.Request(url, data=endpoint.body(_PROBE), headers=headers)
    try:
        with urllib.request.build_opener(NoRedirect).open(call, timeout=SECONDS) as reply:
            return not endpoint.read(reply.read(LARGEST_BYTES), _PROBE, ()).failed
    except NoAnswer:
        return False
    except urllib.error.HTTPError as error:
        return False if error.code in NOT_OFFERED else None
    except (OSError, ValueError, http.client.HTTPException):
        return None
