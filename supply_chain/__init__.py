"""What stands in what we ship, and what is known against it: `make sbom`, `make audit`.

Here belongs what looks at the locks and never what ships. `pins`, `judging` and `bom` are pure;
`vulnerabilities` asks the outside. It runs in an environment of its own (.venv-audit), whose tools
have a lock of their own: a newcomer's installation does not wait for them.
"""
