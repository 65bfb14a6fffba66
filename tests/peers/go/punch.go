package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	ma "github.com/multiformats/go-multiaddr"
)

const (
	// loopback is where peers listen that are not told otherwise.
	loopback = "/ip4/127.0.0.1/tcp/0"
	// upgradePatience is from the relayed connection to the direct one.
	upgradePatience = 40 * time.Second
)

// newPuncher is a host that takes any address for one that can be dialed, private
// ones included; a silent one tells nobody where it listens, so that it must be
// punched to.
func newPuncher(at string, silent bool) (host.Host, error) {
	more := []libp2p.Option{libp2p.EnableRelay()}
	if silent {
		more = append(more, libp2p.AddrsFactory(func([]ma.Multiaddr) []ma.Multiaddr { return nil }))
	}
	h, err := newHostWith(more, at)
	if err != nil {
		return nil, err
	}
	identified, ok := h.(interface{ IDService() identify.IDService })
	if !ok {
		return nil, errors.New("the host has no identify service")
	}
	ids := identified.IDService()
	own := func() []ma.Multiaddr {
		listening, err := h.Network().InterfaceListenAddresses()
		if err != nil {
			return nil
		}
		return listening
	}
	if _, err := holepunch.NewService(h, ids, own); err != nil {
		return nil, err
	}
	return h, nil
}

// punch listens, also through a relay.
func punch(relay, at string) error {
	h, err := newPuncher(at, false)
	if err != nil {
		return err
	}
	return keepPlace(h, relay)
}

// upgrade dials through a relay and waits for the direct connection, which it uses then.
func upgrade(circuit, at string) error {
	h, err := newPuncher(at, true)
	if err != nil {
		return err
	}
	defer h.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	target, err := peer.AddrInfoFromString(circuit)
	if err != nil {
		return err
	}
	direct := make(chan network.Conn, 16)
	h.Network().Notify(&network.NotifyBundle{ConnectedF: func(_ network.Network, c network.Conn) {
		if _, err := c.RemoteMultiaddr().ValueForProtocol(ma.P_CIRCUIT); err != nil && c.RemotePeer() == target.ID {
			direct <- c
		}
	}})
	if err := h.Connect(ctx, *target); err != nil {
		return err
	}
	began := time.Now()
	select {
	case c := <-direct:
		took := time.Since(began).Milliseconds()
		s, err := c.NewStream(ctx)
		if err != nil {
			return err
		}
		_ = s.Reset()
		return print(map[string]any{"ok": true, "direct": c.RemoteMultiaddr().String(), "ms": took})
	case <-time.After(upgradePatience):
		_ = print(map[string]any{"ok": false, "detail": "no direct connection"})
		return fmt.Errorf("no direct connection")
	}
}
