"""One small engine for everything that needs somebody's consent; see ``engine`` for the verbs, ``kinds`` for what can
be asked for, ``proposals`` for changes of records with their parts."""

from crm.approvals.engine import (
    ApprovalConflict,
    ApprovalRefused,
    approve,
    link,
    pending_about,
    reject,
    remind,
    submit,
    supersede,
    transfer,
    withdraw,
)
from crm.approvals.kinds import Effect, Kind, Level, Line, Section, register

__all__ = [
    "ApprovalConflict",
    "ApprovalRefused",
    "Effect",
    "Kind",
    "Level",
    "Line",
    "Section",
    "approve",
    "link",
    "pending_about",
    "register",
    "reject",
    "remind",
    "submit",
    "supersede",
    "transfer",
    "withdraw",
]
