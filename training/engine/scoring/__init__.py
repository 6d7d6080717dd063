"""A reward model scores answers that were written elsewhere, as a process of its own."""
