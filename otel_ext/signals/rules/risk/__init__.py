"""`risk.*`: what may have done harm."""
