"""Encoders of interestlab: item ids, and any Hugging Face text model: frozen, or fine-tuned by many methods."""
