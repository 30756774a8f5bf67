"""Fakes: one per port, in memory, with readable state. They implement the port and run no logic of ours."""
