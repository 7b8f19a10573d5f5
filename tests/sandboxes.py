"""Which tests need a sandbox, and are left out where there is none."""

import pytest

from judgebench.grading.sandbox import why_not

WHY_NOT = why_not()
NEEDS_SANDBOX = f"needs a sandbox: {WHY_NOT}; `apt-get install bubblewrap`, as .ci/run does"
needs_sandbox = pytest.mark.skipif(WHY_NOT is not None, reason=NEEDS_SANDBOX)
