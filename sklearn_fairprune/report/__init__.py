"""Floor 4: audit and diagnosis, their tables and intervals."""

from .audit import audit
from .audit_report import AuditReport
from .compare import compare_reports
from .diagnose import DiagnosisReport, diagnose
from .gate import DisparityError

__all__ = [
    "AuditReport",
    "DiagnosisReport",
    "DisparityError",
    "audit",
    "compare_reports",
    "diagnose",
]
