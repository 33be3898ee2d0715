"""Claims jobs, launches them, watches them and finishes them."""
