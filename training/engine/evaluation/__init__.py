"""What a trained model is worth: measures with intervals, and why one is missing."""
