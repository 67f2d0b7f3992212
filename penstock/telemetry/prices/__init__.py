"""What answers cost: the public price list, one's own prices, and this machine's."""
