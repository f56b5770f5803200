"""Measurements that need a checkout; they are not in the wheel."""
