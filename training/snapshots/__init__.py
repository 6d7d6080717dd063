"""What a snapshot is made of: pure functions over rankings and prompts, no Django, no database."""
