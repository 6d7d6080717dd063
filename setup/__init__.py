"""What `make` runs before Prefloop itself: standard library only."""
