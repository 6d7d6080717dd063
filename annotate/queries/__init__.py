"""Reads: each function answers one question and changes nothing."""
