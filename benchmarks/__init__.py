"""Figures of the platform, measured on the sandbox as whole processes; `make bench` runs them all.

Here belongs what measures, nothing that the platform uses. Ratios are taken within one run, since
machines are shared and noisy.
"""
