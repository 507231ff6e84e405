"""What is looked at before a generation of a library goes live, and what a library's keeper wants to know of it. No torch."""
