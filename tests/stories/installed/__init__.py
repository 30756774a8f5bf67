"""The platform installed by its chart on a real node, GitLab and registry of the sandbox beside it.

Here belongs what the story stands on: the far end, the node, the installation. What is told, and
what must hold, stands in tests/stories/test_installed.py.
"""
