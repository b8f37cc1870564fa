"""The explorer of a trained model: points and pictures, and their page in the browser (``app``)."""
