"""Write text: language models."""
