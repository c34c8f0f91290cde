"""What is known of an item at its opening, and its labels."""
