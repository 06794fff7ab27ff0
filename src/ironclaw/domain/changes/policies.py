"""The policy of the gateway itself."""

from __future__ import annotations

from typing import ClassVar

from ironclaw.domain.changes.base import Spec, Topic
from ironclaw.domain.policy import Policy


class SetPolicy(Spec, frozen=True, kw_only=True, tag="policy"):
    """Change who decides on changes."""

    topic: ClassVar = Topic.POLICY
    title: ClassVar = "Change who decides on changes"
    labels: ClassVar = {
        "policy": "policy",
    }

    policy: Policy
