"""Migrations: jobs that run once, what images say of schemas, and the way back of a schema."""
