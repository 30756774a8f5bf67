"""FlowMaster Delivery: from a push in GitLab to production on Kubernetes, and back.

Layers, and chapters that keep their names through them (catalog, intake, image, promotion,
rollout, canary, health, watch, rollback, …); `docs/architecture.md` draws both. This file
exports nothing: a code location loads `flowmaster_delivery.definitions`, people run `flowmaster`.
"""
