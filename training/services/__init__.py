"""Writes of training: one verb a function."""
