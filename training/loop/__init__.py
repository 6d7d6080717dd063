"""The loop's policy, its stopping rule and its words. No Django, no PyTorch."""
