"""What a text, a conversation and a completion are, the same for every room.

The ground floor: importable by annotate, inference, training and the engine; imports none of them,
no Django and no PyTorch.
"""
