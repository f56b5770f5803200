"""Binding scores inside other libraries."""
