"""What is learned: operations, their pairs and answers, the split, and their harmonics."""
