"""Threads, memory that is used again, and values of a process."""
