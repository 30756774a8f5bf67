"""Verbs: every decision of the platform, as pure functions over the nouns of `model`.

`now` is an argument. Nothing here reads, writes, waits or logs; what a decision needs to know is
handed to it, what it found is returned with its reasons.
"""
