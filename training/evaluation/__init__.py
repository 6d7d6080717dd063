"""What is known of an adapter: win rate, report, gate, card. No Django, no PyTorch."""
