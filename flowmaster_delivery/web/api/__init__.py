"""The API: one module per noun, each with its routes. Handlers read a request, call a flow, answer.

A handler that changes something asks first who wants it (`web.identity`).
"""
