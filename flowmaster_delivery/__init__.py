"""FlowMaster Delivery: from a push in GitLab to production on Kubernetes, and back.

Rows are layers, columns are chapters (catalog, intake, image, promotion, rollout, health,
rollback); `docs/architecture.md` draws both. This file exports nothing: a code location loads
`flowmaster_delivery.definitions`, people run `flowmaster`.
"""
