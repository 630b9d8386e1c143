"""Results handed on to dashboards that others made."""

from .data import FairnessDashboardData, to_fairness_dashboard

__all__ = ["FairnessDashboardData", "to_fairness_dashboard"]
