"""The kinds of feature, a module each; `registry` lists them."""
