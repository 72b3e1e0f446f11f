"""For tests of code that uses Modelwright: a real server over a workspace, in this process."""

from modelwright.testing.servers import serving

__all__ = ["serving"]
