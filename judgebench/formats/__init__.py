"""Formats that hold numbers of any benchmark: each module writes a run's scores in one, and reads them back.

What depends on a benchmark (an annotations file, a judgement file) lies with that benchmark's exporters and importers.
Everything here is pure: a run goes in and the content of files comes out, or rows and reported scores.
"""
