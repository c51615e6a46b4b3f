"""Scenes as a sensor would see them: protocols with names, pairs with a truth."""
