"""What makes the suites that ship with the package; not in the wheel."""
