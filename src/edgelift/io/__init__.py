"""Pictures, video and bundles on disk. Of edgelift it imports `core` only; never torch or an engine."""
