"""Batchers: which queued work runs together next, or how long to wait for more. Pure.

To add a policy, write one file with a class of this shape and name it in `create`.
"""
