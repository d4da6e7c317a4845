"""What counts as white space in text that is received."""

SPACES = (
    "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f \x85\xa0\u1680"
    "\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)
"""Characters of Unicode's property White_Space, and the four separators of ASCII."""

ZERO_WIDTH = "\u180e\u200b\u200c\u200d\u2060\ufeff"
"""What shows nothing: Mongolian vowel separator; zero-width space, non-joiner, joiner; word joiner; byte-order mark."""
