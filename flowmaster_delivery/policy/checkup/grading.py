"""Findings of each grade, and what a checkup comes to."""

from __future__ import annotations

from collections.abc import Iterable

from flowmaster_delivery.model.checkup import Finding, Grade, Topic


def fine(topic: Topic, about: str, seen: str) -> Finding:
    return Finding(topic, about, Grade.OK, seen)


def warning(topic: Topic, about: str, seen: str, mend: str) -> Finding:
    return Finding(topic, about, Grade.WARNING, seen, mend)


def failed(topic: Topic, about: str, seen: str, mend: str = "") -> Finding:
    return Finding(topic, about, Grade.FAILED, seen, mend)


def not_checked(topic: Topic, about: str, why: str, mend: str = "") -> Finding:
    return Finding(topic, about, Grade.NOT_CHECKED, why, mend)


def passed(findings: Iterable[Finding]) -> bool:
    """Whether nothing failed. A checkup in which nothing was looked at has not passed."""
    grades = {finding.grade for finding in findings}
    return Grade.FAILED not in grades and bool(grades - {Grade.NOT_CHECKED})
