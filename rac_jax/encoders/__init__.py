"""Networks that several families start from."""
