"""Chips of several dates as files."""
