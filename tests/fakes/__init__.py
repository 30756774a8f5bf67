"""One fake per port, in memory, with readable state; they hold no logic of ours."""
