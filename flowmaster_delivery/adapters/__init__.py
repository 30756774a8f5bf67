"""One module per outside technology, each behind a port of `ports`.

Parse to `model` at the edge, translate every exception into `model.errors`, put a time limit on
every call, decide nothing. Adapters do not know each other.
"""
