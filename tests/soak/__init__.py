"""Long runs on one server: whatever it takes from the machine must be given back."""
