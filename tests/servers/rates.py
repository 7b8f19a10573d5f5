"""How many requests a server takes in a time, and what its headers say of it: in windows, or out of a bucket."""


class Meter:
    """Counts requests by the server's own clock."""

    def __init__(self, allowed: int, window: float, *, bucket: bool) -> None:
        """``allowed`` requests in ``window`` seconds; 0 for any number."""
        self._allowed, self._window, self._bucket = allowed, window, bucket
        self._left = float(allowed)
        self._counted_at = 0.0

    def take(self, now: float) -> tuple[bool, dict[str, str]]:
        """Whether one more is taken, and the headers of its reply."""
        if not self._allowed:
            return True, {}
        if self._bucket:
            self._left = min(self._allowed, self._left + (now - self._counted_at) * self._allowed / self._window)
            self._counted_at = now
        elif now // self._window != self._counted_at // self._window:
            self._left, self._counted_at = self._allowed, now
        taken = self._left >= 1
        self._left -= taken
        reset = (
            (self._allowed - self._left) * self._window / self._allowed
            if self._bucket
            else self._window - now % self._window
        )
        return taken, {
            "x-ratelimit-limit-requests": str(self._allowed),
            "x-ratelimit-remaining-requests": str(int(self._left)),
            "x-ratelimit-reset-requests": f"{1000 * reset:.0f}ms",
        }
