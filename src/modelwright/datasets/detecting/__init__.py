"""Finding what columns are about: by their names and by a sample of their distinct values. No value leaves this place."""

from modelwright.datasets.detecting.scan import scan, scan_columns

__all__ = ["scan", "scan_columns"]
