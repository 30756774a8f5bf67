"""Nouns: what the platform talks about, as frozen dataclasses and enums.

Pure: no input or output, no clock, no logging, no framework. A noun may check itself on
construction and answer questions about itself; what to *do* about it stands in `policy`.
"""
