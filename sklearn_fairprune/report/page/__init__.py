"""The audit report as one self-contained HTML page, and as a summary for notebooks."""

from .render import render_page, render_summary

__all__ = ["render_page", "render_summary"]
