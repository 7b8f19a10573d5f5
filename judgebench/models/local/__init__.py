"""Models that run on this machine: transformers, vLLM, Ray actors and the built-in tiny model.

Nothing here is imported before a local model is opened, because torch takes seconds.
"""
