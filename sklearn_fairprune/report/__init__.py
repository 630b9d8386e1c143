"""Floor 4: audit tables and their intervals."""

from .audit import AuditReport, audit

__all__ = ["AuditReport", "audit"]
