"""What a judge is worth: suites of items that people judged, what a judge decides about them, and figures of both.

``items`` has the records, ``suites`` the table of public suites. A suite yields its items and turns decisions about
them into figures; it never asks a judge.
"""
