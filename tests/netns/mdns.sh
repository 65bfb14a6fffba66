#!/usr/bin/env bash
# Two neighbours on a cable that has IPv6 alone, each in a network namespace of its own:
# whether they find and dial each other by mDNS.
#
#   sudo tests/netns/mdns.sh [PROGRAM]
#
# PROGRAM is `polypeer` (target/release/polypeer). Needs root and ip (iproute2). Prints
# what the two tell of each other, ends with 1 if one has not connected after 30 s.
set -eu

program=${1:-$(dirname "$0")/../../target/release/polypeer}
tag=pp$$
work=$(mktemp -d)
started=()
finish() {
  for one in "${started[@]}"; do kill "$one" 2>/dev/null || true; done
  for side in 1 2; do ip netns del "$tag-$side" || true; done
  rm -r "$work"
}
trap finish EXIT

within_30_s() { # COMMAND…
  until "$@"; do
    [ "$SECONDS" -lt 30 ] || { echo "it took too long: $*" && exit 1; }
    sleep 0.1
  done
}

for side in 1 2; do ip netns add "$tag-$side"; done
ip link add cable netns "$tag-1" type veth peer name cable netns "$tag-2"
for side in 1 2; do
  # Without asking first whether somebody has it: usable at once.
  ip -n "$tag-$side" address add "fd00::$side/64" dev cable nodad
  ip -n "$tag-$side" link set lo up
  ip -n "$tag-$side" link set cable up
done
is_up() { ip -n "$tag-$1" -6 address show dev cable scope link -tentative | grep -q fe80; }
for side in 1 2; do within_30_s is_up "$side"; done

for side in 1 2; do
  HOME=$work XDG_CONFIG_HOME=$work/$side ip netns exec "$tag-$side" \
    "$program" --json serve --no-store --mdns --listen "/ip6/fd00::$side/tcp/0" > "$work/$side.log" &
  started+=($!)
done
tells() { grep -q "\"event\":\"$2\"" "$work/$1.log"; }
for side in 1 2; do
  within_30_s tells "$side" neighbour
  within_30_s tells "$side" connected
  grep -E '"event":"(neighbour|connected)"' "$work/$side.log"
done
