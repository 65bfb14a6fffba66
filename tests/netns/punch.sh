#!/usr/bin/env bash
# Two peers behind two translators of Linux (nftables, masquerade) and a relay, each in
# a network namespace of its own: whether the two come to a direct connection.
#
#   sudo tests/netns/punch.sh HIDDEN VISITOR [KIND]
#
# HIDDEN and VISITOR are programs of test peers (tests/peers); the relay is Polypeer's.
# KIND is what the translators are: `cone` keeps the port and is silent (the default),
# `symmetric` draws a port for each connection, `inside` has one translator for both.
# Needs root, ip (iproute2) and nft (nftables). Prints what the visitor reports, ends
# with its status.
set -eu

hidden=$1
visitor=$2
kind=${3:-cone}
relay=${RELAY:-$(dirname "$0")/../../target/release/polypeer-test-peer}
tag=pp$$
work=$(mktemp -d)
spaces=()

space() { # NAME
  ip netns add "$tag-$1"
  spaces+=("$tag-$1")
  ip -n "$tag-$1" link set lo up
}

within() { # NAME COMMAND…
  local name=$1
  shift
  ip netns exec "$tag-$name" "$@"
}

started=()
finish() {
  exec 8>&- 9>&-
  for one in "${started[@]}"; do kill "$one" 2>/dev/null || true; done
  for one in "${spaces[@]}"; do ip netns del "$one"; done
  rm -r "$work"
}
trap finish EXIT

# A cable from one space to another, with an address at the first end.
cable() { # FROM DEVICE ADDRESS TO DEVICE
  ip link add "$2" netns "$tag-$1" type veth peer name "$5" netns "$tag-$4"
  [ -z "$3" ] || ip -n "$tag-$1" address add "$3" dev "$2"
  ip -n "$tag-$1" link set "$2" up
  ip -n "$tag-$4" link set "$5" up
}

# The Internet is a switch.
space net
ip -n "$tag-net" link add switch type bridge
ip -n "$tag-net" link set switch up

attach() { # NAME ADDRESS
  cable "$1" wan "$2/24" net "$1"
  ip -n "$tag-net" link set "$1" master switch
}

translator() { # NUMBER
  space "nat$1"
  attach "nat$1" "5.5.5.1$1"
  within "nat$1" sysctl -qw net.ipv4.ip_forward=1
  local mode=
  if [ "$kind" = symmetric ]; then mode='fully-random'; fi
  within "nat$1" nft -f - <<RULES
table ip translator {
  chain out {
    type nat hook postrouting priority srcnat;
    oifname "wan" masquerade $mode
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
    iifname "wan" ct state new drop
  }
  chain in {
    type filter hook input priority filter; policy accept;
    iifname "wan" drop
  }
}
RULES
}

host() { # NUMBER TRANSLATOR
  space "host$1"
  cable "host$1" lan "10.$2.0.1$1/24" "nat$2" "lan$1"
  ip -n "$tag-nat$2" address add "10.$2.0.$1/32" dev "lan$1"
  ip -n "$tag-nat$2" route add "10.$2.0.1$1/32" dev "lan$1"
  ip -n "$tag-host$1" route add "10.$2.0.$1/32" dev lan
  ip -n "$tag-host$1" route add default via "10.$2.0.$1"
  # The others of the network are reached through the translator, as over its switch.
  ip -n "$tag-host$1" route del "10.$2.0.0/24"
}

space relay
attach relay 5.5.5.1
translator 1
host 1 1
if [ "$kind" = inside ]; then
  host 2 1
else
  translator 2
  host 2 2
fi

mkfifo "$work/relay" "$work/hidden"

listen() { # NAME SPACE INPUT COMMAND…
  local name=$1 place=$2 input=$3
  shift 3
  within "$place" "$@" <"$input" >"$work/$name.out" &
  started+=($!)
}

# What a listener says of itself: its address that matches.
address() { # NAME PATTERN
  local line
  for _ in $(seq 300); do
    if line=$(grep -m1 -o "\"[^\"]*$2[^\"]*\"" "$work/$1.out"); then
      tr -d '"' <<<"$line"
      return
    fi
    sleep 0.1
  done
  echo "$1 does not listen" >&2
  exit 1
}

listen relay relay "$work/relay" "$relay" relay --at /ip4/5.5.5.1/tcp/4001
exec 8>"$work/relay"
at=$(address relay /ip4/5.5.5.1/tcp/4001/p2p/)
if [ "$kind" = inside ]; then behind=1; else behind=2; fi
listen hidden host1 "$work/hidden" "$hidden" punch "$at" --at /ip4/10.1.0.11/tcp/4001
exec 9>"$work/hidden"
circuit=$(address hidden /p2p-circuit/p2p/)
within host2 "$visitor" upgrade "$circuit" --at "/ip4/10.$behind.0.12/tcp/4001"
