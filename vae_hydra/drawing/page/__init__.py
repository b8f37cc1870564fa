"""A trained model looked at by hand: what is shown, without the web library, and ``app``, the page that shows it."""
