#!/bin/sh
# Installs the program polypeer, and with arguments runs it. Safe to repeat. One command:
#
#   curl -fsSL https://github.com/polypeer/polypeer/releases/download/v0.1.0/install.sh | sh -s serve
#
# POLYPEER_FROM  where the archives are, a URL or a folder; that release if it is not set
# POLYPEER_TO    the folder that the program goes to, ~/.local/bin if it is not set
set -eu

version=0.1.0
releases=https://github.com/polypeer/polypeer/releases/download

fail() {
  echo "polypeer was not installed: $1" >&2
  exit 1
}

# The name that archives for this system have.
system() {
  case $(uname -s) in
    Linux) kernel=linux ;;
    Darwin) kernel=macos ;;
    *) fail "there is none for $(uname -s); it can be built (cargo build --release)" ;;
  esac
  case $(uname -m) in
    x86_64 | amd64) echo "x86_64-$kernel" ;;
    aarch64 | arm64) echo "aarch64-$kernel" ;;
    *) fail "there is none for $(uname -m); it can be built (cargo build --release)" ;;
  esac
}

# Brings the file $2 of $1, a URL or a folder, to $3.
bring() {
  case $1 in
    http://* | https://*)
      if command -v curl >/dev/null; then
        curl -fsSL -o "$3" "$1/$2"
      elif command -v wget >/dev/null; then
        wget -q -O "$3" "$1/$2"
      else
        fail 'curl or wget is needed to download it'
      fi
      ;;
    *) cp "$1/$2" "$3" ;;
  esac || fail "$1 has no $2 for us"
}

digest() {
  if command -v sha256sum >/dev/null; then
    sha256sum "$1"
  elif command -v shasum >/dev/null; then
    shasum -a 256 "$1"
  else
    fail 'sha256sum or shasum is needed to verify it'
  fi
}

# In a function, so that nothing is done if not all of this file has come.
main() {
  from=${POLYPEER_FROM:-$releases/v$version}
  to=${POLYPEER_TO:-$HOME/.local/bin}
  name=polypeer-$version-$(system)
  mkdir -p "$to" || fail "$to cannot be written"
  # On the same disk, so that the program is replaced in one step, even where it runs.
  aside=$(mktemp -d "$to/.polypeer.XXXXXX") || fail "$to cannot be written"
  trap 'rm -rf "$aside"' EXIT
  trap 'exit 1' HUP INT TERM

  bring "$from" "$name.tar.gz" "$aside/archive"
  bring "$from" "$name.tar.gz.sha256" "$aside/sha256"
  wanted=$(cat "$aside/sha256")
  found=$(digest "$aside/archive")
  wanted=${wanted%% *}
  found=${found%% *}
  [ -n "$found" ] && [ "$found" = "$wanted" ] || fail "the archive is damaged or another one
  its SHA-256      $found
  that it must be  $wanted"
  tar -xzf "$aside/archive" -C "$aside" "$name/polypeer" || fail 'the archive cannot be unpacked'
  "$aside/$name/polypeer" --version >/dev/null || fail 'the program does not run on this system'
  mv -f "$aside/$name/polypeer" "$to/polypeer" || fail "$to/polypeer cannot be replaced"
  rm -rf "$aside"
  trap - EXIT HUP INT TERM
  echo "Installed $to/polypeer ($version)" >&2

  [ $# -eq 0 ] || exec "$to/polypeer" "$@"
  case :$PATH: in
    *:"$to":*) echo 'Run it: polypeer serve' >&2 ;;
    *) echo "Run it: $to/polypeer serve" >&2 ;;
  esac
}

main "$@"
