"""Floor 4: audit and diagnosis, their tables and intervals."""

from .audit import audit
from .audit_report import AuditReport
from .diagnose import DiagnosisReport, diagnose

__all__ = ["AuditReport", "DiagnosisReport", "audit", "diagnose"]
