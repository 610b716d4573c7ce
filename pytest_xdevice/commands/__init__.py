"""Commands of `xdevice` that are more than a few lines."""
