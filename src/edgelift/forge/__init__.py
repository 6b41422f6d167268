"""From a checkpoint to a proven bundle, and back to a network. The one room that sees both halves."""
