"""GitLab, Kubernetes, a registry, Prometheus and inboxes over HTTP on loopback: real protocols.

Here belongs what answers at the far end of the wire when there is no real server; nothing here is
used by the delivery platform itself, and only `cli` starts it. It may know `model`, nothing else of
the package. Where a real server and this one differ, this one is wrong.
"""
