"""Verification of an image after its rollout: smoke tests, suites in GitLab, figures."""
