"""Finding what columns are about: by their names and by a sample of their distinct values. No value leaves this place."""

from modelwright.datasets.detecting.scan import scan

__all__ = ["scan"]
