"""Which method to take: trials on the pair at reduced resolution (Wald), and blends."""
