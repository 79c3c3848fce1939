"""The plugins that come along; each is one file that uses the same door as anyone's."""
