"""How far two images of one place lie off each other, found by the images themselves."""
