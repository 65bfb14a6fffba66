// Command peer is go-libp2p as a test peer; ../README.md describes its command line.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	libp2pwebrtc "github.com/libp2p/go-libp2p/p2p/transport/webrtc"
	"github.com/libp2p/go-libp2p/p2p/transport/websocket"
	ma "github.com/multiformats/go-multiaddr"
)

// A whole run of checks ends within this time, or it has failed.
const patience = 2 * time.Minute

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "peer-go:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("usage: peer listen|dial|perf (see ../README.md)")
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	transport := flags.String("transport", "tcp", "tcp, ws, quic or webrtc-direct")
	agent := flags.String("agent", "", "text that the remote's agent must contain")
	upload := flags.Int64("upload", 0, "bytes to send")
	download := flags.Int64("download", 0, "bytes to receive")
	at := flags.String("at", loopback, "where to listen")
	through := flags.String("through", "", "address of a relay to listen through")
	version := flags.Int64("version", 2, "of AutoNAT")
	which := flags.String("which", "open", "open, closed or elsewhere: the address that AutoNAT is asked about")
	protocol := flags.String("protocol", "", "the only one to speak, of publish and subscribe")
	name := flags.String("name", dhtName, "the network of the DHT")
	discovery := flags.String("discovery", "", "dht: where peers of topics are looked for")
	switch args[0] {
	case "pubsub", "dht":
		if err := flags.Parse(args[1:]); err != nil {
			return err
		}
		if args[0] == "dht" {
			return serveDht(*name)
		}
		return servePubsub(*protocol, *discovery)
	case "listen", "relay":
		if err := flags.Parse(args[1:]); err != nil {
			return err
		}
		if *through != "" {
			return listenThrough(*through)
		}
		return listen(*transport, args[0] == "relay")
	case "punch", "upgrade":
		if len(args) < 2 {
			return fmt.Errorf("%s needs an address", args[0])
		}
		if err := flags.Parse(args[2:]); err != nil {
			return err
		}
		if args[0] == "punch" {
			return punch(args[1], *at)
		}
		return upgrade(args[1], *at)
	case "autonat-serve":
		return serveAutonat()
	case "dial", "perf", "autonat-ask":
		if len(args) < 2 {
			return fmt.Errorf("%s needs an address", args[0])
		}
		if err := flags.Parse(args[2:]); err != nil {
			return err
		}
		target, err := peer.AddrInfoFromString(args[1])
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		ctx = network.WithAllowLimitedConn(ctx, "the tests")
		defer cancel()
		if args[0] == "autonat-ask" {
			return askAutonat(ctx, *target, *version, *which)
		}
		if args[0] == "perf" {
			return measure(ctx, *target, *upload, *download)
		}
		return dial(ctx, *target, *agent)
	}
	return fmt.Errorf("no such command: %s", args[0])
}

func newHost(addresses ...string) (host.Host, error) { return newHostWith(nil, addresses...) }

func newHostWith(more []libp2p.Option, addresses ...string) (host.Host, error) {
	options := []libp2p.Option{
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Transport(websocket.New),
		libp2p.Transport(libp2pquic.NewTransport),
		libp2p.Transport(libp2pwebrtc.New),
		libp2p.Security(noise.ID, noise.New),
		libp2p.Muxer(yamux.ID, yamux.DefaultTransport),
		libp2p.UserAgent("test-peer-go/1.0.0"),
		libp2p.DisableMetrics(),
		libp2p.ResourceManager(unlimited()),
	}
	options = append(options, more...)
	if len(addresses) > 0 {
		options = append(options, libp2p.ListenAddrStrings(addresses...))
	} else {
		// Without addresses it is off unless asked for.
		options = append(options, libp2p.NoListenAddrs, libp2p.EnableRelay())
	}
	h, err := libp2p.New(options...)
	if err != nil {
		return nil, err
	}
	serve(h)
	return h, nil
}

func listen(transport string, asRelay bool) error {
	address, known := map[string]string{
		"tcp":           "/ip4/127.0.0.1/tcp/0",
		"ws":            "/ip4/127.0.0.1/tcp/0/ws",
		"quic":          "/ip4/127.0.0.1/udp/0/quic-v1",
		"webrtc-direct": "/ip4/127.0.0.1/udp/0/webrtc-direct",
	}[transport]
	if !known {
		return fmt.Errorf("no such transport: %s", transport)
	}
	more := []libp2p.Option{}
	if asRelay {
		// The service starts with a host that knows it can be reached.
		more = append(more, libp2p.ForceReachabilityPublic(), libp2p.EnableRelayService(relay.WithInfiniteLimits()))
	}
	h, err := newHostWith(more, address)
	if err != nil {
		return err
	}
	defer h.Close()
	addresses := []string{}
	for _, a := range h.Addrs() {
		addresses = append(addresses, a.Encapsulate(ma.StringCast("/p2p/"+h.ID().String())).String())
	}
	if err := print(map[string]any{"peerId": h.ID().String(), "addresses": addresses}); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// listenThrough has no address of its own but that behind the relay.
func listenThrough(address string) error {
	h, err := newHost()
	if err != nil {
		return err
	}
	return keepPlace(h, address)
}

// keepPlace has a place at the relay until the input ends.
func keepPlace(h host.Host, address string) error {
	defer h.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	info, err := peer.AddrInfoFromString(address)
	if err != nil {
		return err
	}
	if err := h.Connect(ctx, *info); err != nil {
		return err
	}
	if _, err := client.Reserve(ctx, h, *info); err != nil {
		return err
	}
	own := address + "/p2p-circuit/p2p/" + h.ID().String()
	if err := print(map[string]any{"peerId": h.ID().String(), "addresses": []string{own}}); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func print(value any) error {
	return json.NewEncoder(os.Stdout).Encode(value)
}
