"""Encoders of interestlab: ids, behaviour, frozen or fine-tuned text models, images, and precomputed vectors."""
