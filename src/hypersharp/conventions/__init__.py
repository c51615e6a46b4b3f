"""What files and programs say of an image by convention: names of variables, axes, lists of wavelengths, places."""
