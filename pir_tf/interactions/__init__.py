"""What people, or simulated users, did with images (section 2.2)."""
