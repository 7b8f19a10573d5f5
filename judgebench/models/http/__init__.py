"""Models behind an HTTP endpoint: three wire protocols, one client that paces, retries and counts.

Which backend a model spec names is decided in ``models.opening``; replies are stored by ``models.call_store``.
"""
