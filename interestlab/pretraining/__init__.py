"""Adapting a pretrained text model to the texts of a shop, before a recommender is trained with it."""
