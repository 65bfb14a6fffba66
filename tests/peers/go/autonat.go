package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/autonat"
	"github.com/libp2p/go-libp2p/p2p/protocol/autonatv2"
	ma "github.com/multiformats/go-multiaddr"
)

// dialer is the host that dials for others: it has an identity of its own.
func dialer() (*autonatv2.AutoNAT, error) {
	h, err := newHostWith([]libp2p.Option{libp2p.DisableIdentifyAddressDiscovery()})
	if err != nil {
		return nil, err
	}
	return autonatv2.New(h, autonatv2.AllowPrivateAddrs)
}

// serveAutonat answers version 2; its version 1 dials no loopback addresses.
func serveAutonat() error {
	h, err := newHost("/ip4/127.0.0.1/tcp/0")
	if err != nil {
		return err
	}
	defer h.Close()
	service, err := dialer()
	if err != nil {
		return err
	}
	if err := service.Start(h); err != nil {
		return err
	}
	defer service.Close()
	own := h.Addrs()[0].Encapsulate(ma.StringCast("/p2p/" + h.ID().String())).String()
	if err := print(map[string]any{"peerId": h.ID().String(), "addresses": []string{own}}); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// askAutonat asks target whether it can dial the address that which names.
func askAutonat(ctx context.Context, target peer.AddrInfo, version int64, which string) error {
	listen := []string{loopback}
	if version == 2 {
		// It may dial from there too: a server of version 1 would then ask for our address there.
		listen = append(listen, "/ip4/127.0.0.3/tcp/0")
	}
	h, err := newHost(listen...)
	if err != nil {
		return err
	}
	defer h.Close()
	address := ma.StringCast("/ip4/127.0.0.1/tcp/1")
	ip := map[string]string{"open": "127.0.0.1", "elsewhere": "127.0.0.3"}[which]
	for _, own := range h.Addrs() {
		if value, err := own.ValueForProtocol(ma.P_IP4); err == nil && value == ip {
			address = own
		}
	}
	// It learns of servers as they are identified, so it is there before them.
	client, err := dialer()
	if err != nil {
		return err
	}
	if err := client.Start(h); err != nil {
		return err
	}
	defer client.Close()
	start := time.Now()
	found, err := "", h.Connect(ctx, target)
	if err == nil && version == 1 {
		found, err = askFirst(ctx, h, target.ID, address)
	} else if err == nil {
		found, err = askSecond(ctx, client, address)
	}
	ms := float64(time.Since(start).Microseconds()) / 1000
	if err != nil {
		found = err.Error()
	}
	ok := err == nil && found == map[bool]string{true: "private", false: "public"}[which == "closed"]
	checks := map[string]result{"reachability": {ok, ms, found}}
	return print(map[string]any{"ok": ok, "peerId": h.ID().String(), "checks": checks})
}

func askFirst(ctx context.Context, h host.Host, server peer.ID, address ma.Multiaddr) (string, error) {
	client := autonat.NewAutoNATClient(h, func() []ma.Multiaddr { return []ma.Multiaddr{address} }, nil)
	err := client.DialBack(ctx, server)
	var answer autonat.Error
	if errors.As(err, &answer) && answer.IsDialError() {
		return "private", nil
	}
	return "public", err
}

func askSecond(ctx context.Context, client *autonatv2.AutoNAT, address ma.Multiaddr) (string, error) {
	request := []autonatv2.Request{{Addr: address, SendDialData: true}}
	for {
		answer, err := client.GetReachability(ctx, request)
		// Its news of them comes on its own time.
		if errors.Is(err, autonatv2.ErrNoPeers) && ctx.Err() == nil {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		if err != nil {
			return "", err
		}
		switch answer.Reachability {
		case network.ReachabilityPublic:
			return "public", nil
		case network.ReachabilityPrivate:
			return "private", nil
		}
		return "", fmt.Errorf("neither public nor private: %v", answer)
	}
}
