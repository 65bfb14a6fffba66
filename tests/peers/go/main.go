package main

import _ "github.com/libp2p/go-libp2p"

func main() {}
