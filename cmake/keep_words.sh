#!/bin/sh
# keep_words.sh COMPILER ARGUMENT...: runs the compiler and keeps what it says beside the object that it makes, as OBJECT.words:
# with -Xptxas=-v the registers, shared memory and spills of each kernel. The rest, and all of it on failure, is passed on.
words=/dev/null
previous=
for argument in "$@"; do
  [ "$previous" = -o ] && words=$argument.words
  previous=$argument
done
"$@" 2> "$words"
status=$?
if [ $status -eq 0 ]; then
  grep -v -E "^ptxas info|bytes stack frame" "$words" >&2
else
  cat "$words" >&2
fi
exit $status
