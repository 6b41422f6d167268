"""What both halves share: errors, pictures as arrays, model facts, resizing, metrics. Standard library and numpy only."""
