"""What the clients of the benchmark `swap` ask."""

PROMPTS = (
    "Name a colour.",
    "What is the capital of France?",
    "Who wrote Hamlet?",
    "Say a word.",
    "How much is two and two?",
    "Name an animal.",
    "What do bees make?",
    "Where does the sun rise?",
)
