"""judgebench: evaluation of language models whose numbers can be printed. See README.md."""

__all__ = ["__version__"]

__version__ = "0.1.0"
