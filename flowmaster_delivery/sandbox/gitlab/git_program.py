"""The `git` program: where it is, what it sees of the machine, and how a repository is set up."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path

CONFIG = """
[http]
\treceivepack = true
[gc]
\tauto = 0
[core]
\tlogAllRefUpdates = false
[uploadpack]
\tallowAnySHA1InWant = true
\tallowFilter = true
[receive]
\tdenyDeleteCurrent = ignore
\tautogc = false
"""
PRE_RECEIVE = """#!/bin/sh
# Refuses what the sandbox's GitLab decided to refuse; a rewrite can only be told from in here.
if [ -n "$SANDBOX_REFUSAL" ]; then echo "GitLab: $SANDBOX_REFUSAL" >&2; exit 1; fi
while read -r old new ref; do
  case " $SANDBOX_NO_FORCE " in
    *" $ref "*)
      if ! git merge-base --is-ancestor "$old" "$new"; then
        echo "GitLab: $SANDBOX_NO_FORCE_TEXT" >&2; exit 1
      fi ;;
  esac
done
exit 0
"""


class GitError(Exception):
    """git refused; the text is its own."""


@cache
def git_program() -> str:
    found = shutil.which("git")
    if found is None:
        raise GitError("git is not installed: the sandbox's GitLab needs it (apt install git)")
    return found


def git_environment() -> dict[str, str]:
    """Nothing of the machine's own git configuration reaches the sandbox."""
    return {
        "PATH": f"{Path(git_program()).parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": "/nonexistent",
        "LC_ALL": "C",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
    }
