"""Logged models on their way in."""
