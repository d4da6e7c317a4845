# shellcheck shell=bash
# Java takes the letters of file names, and before Java 18 those of files, from the locale: where LANG is unset, or C, every letter
# beyond ASCII would be a question mark to it. Python takes its own from there as well.
if [ "$(locale charmap 2>/dev/null)" != UTF-8 ]; then
  export LC_ALL=C.UTF-8
fi
