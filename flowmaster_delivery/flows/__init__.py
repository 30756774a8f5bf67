"""One module or package per chapter: read ports, ask policy, write once, return what happened.

No Dagster, no HTTP framework, no printing: `defs`, `web` and `cli` call these and show what came
back.
"""
