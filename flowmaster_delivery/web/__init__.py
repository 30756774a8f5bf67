"""The platform's own server: GitLab's webhooks, and the API that `flowmaster` speaks to."""
