"""The audit report as one self-contained HTML page, and as a summary for notebooks."""

from .render import charts_library, render_page, render_summary

__all__ = ["charts_library", "render_page", "render_summary"]
