"""Encoders of interestlab: ids, behaviour, text models that are frozen or fine-tuned, images, and vectors from elsewhere."""
