"""What comes over a connection may be anything: cases made by mutation, and what must hold of each."""
