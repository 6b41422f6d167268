"""Running bundles: engines, the upscaler and what lies between them. Never imports PyTorch."""
