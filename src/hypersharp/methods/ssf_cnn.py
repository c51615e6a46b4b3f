"""SSF-CNN and PDCon-SSF, by their weights, as a method."""

from hypersharp.methods.trained import trained

learn = trained("ssf-cnn")
