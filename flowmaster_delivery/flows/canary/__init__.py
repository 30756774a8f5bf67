"""Canary: tried out beside the rest, step by step, each with its pause; and orders to it."""
