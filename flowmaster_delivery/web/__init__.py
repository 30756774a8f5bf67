"""The platform's own server: GitLab's webhooks, and the API that `flowmaster` speaks to.

Here belongs what turns a request into a call of a flow or of the launcher, and what comes back into
an answer: who asks, whether the request is of the right form, which status tells what. Decisions
stand in `policy`, what is read and written in `flows`; nothing here touches Dagster or a cluster.
"""
