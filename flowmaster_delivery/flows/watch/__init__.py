"""The watch: looks at all environments, what it compares figures with, and what it does beside."""
