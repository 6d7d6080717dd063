"""Writes: one verb a function, keyword-only, atomic; a refusal is an `annotate.errors.Refusal`."""
