"""Where to cut a picture and how to put it together again: pure functions of sizes and arrays."""
