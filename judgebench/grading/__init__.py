"""Verifying answers in killable processes: the pool of workers, and the program that each of them runs.

The rules themselves belong to the tasks.
"""
