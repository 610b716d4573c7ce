"""What the plugin writes: about devices, failures and timings, to the terminal and into reports."""
