"""What the doors must agree on; imports none of them."""
