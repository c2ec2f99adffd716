#!/bin/sh
# xargs over a small command: chunks of serial numbers, so many at a time, until the list is done.
# A killed command ends xargs (125), and the loop goes on with what is left. One that ends with 255, since the key was
# refused, ends xargs (124) and the loop.
touch "$PEER_FOLDER/done.txt"
while :; do
  grep -vxFf "$PEER_FOLDER/done.txt" "$PEER_LIST" >"$PEER_FOLDER/left.txt" || exit 0
  xargs -P "$PEER_PROCESSES" -n "$PEER_CHUNK" node $PEER_NODE_ARGS "$(dirname "$0")/shell-loop-call.mjs" <"$PEER_FOLDER/left.txt"
  [ $? -eq 124 ] && exit 1
done
