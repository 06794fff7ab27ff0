"""What a token may do. Which endpoint asks for what is in the endpoint table, nowhere else."""

from ironclaw.domain.tokens import IMPLIES, Scope, allows

__all__ = ["IMPLIES", "Scope", "allows"]
