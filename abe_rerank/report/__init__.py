"""From a ranking to files: a typed ``report.json`` and a self-contained ``report.html``."""
