package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
)

const (
	echoBytes      = 16 << 20
	halfCloseBytes = 100_000
)

type result struct {
	OK     bool    `json:"ok"`
	Ms     float64 `json:"ms"`
	Detail string  `json:"detail"`
}

// dial runs every check against target and prints one JSON object.
func dial(ctx context.Context, target peer.AddrInfo, agent string) error {
	h, err := newHost()
	if err != nil {
		return err
	}
	defer h.Close()
	checks := map[string]result{}
	all := true
	check := func(name string, f func() (string, error)) {
		start := time.Now()
		detail, err := f()
		if err != nil {
			all, detail = false, err.Error()
		}
		checks[name] = result{err == nil, float64(time.Since(start).Microseconds()) / 1000, detail}
	}
	check("connect", func() (string, error) { return target.ID.String(), h.Connect(ctx, target) })
	if all {
		check("identify", func() (string, error) { return identified(h, target.ID, agent) })
		check("ping", func() (string, error) { return pinged(ctx, h, target.ID) })
		check("echo", func() (string, error) { return echoed(ctx, h, target.ID) })
		check("halfClose", func() (string, error) { return halfClosed(ctx, h, target.ID) })
		check("reset", func() (string, error) { return wasReset(ctx, h, target.ID) })
		check("unknownProtocol", func() (string, error) { return refused(ctx, h, target.ID) })
		check("wrongPeer", func() (string, error) { return wrongPeer(ctx, target) })
	}
	if err := print(map[string]any{"ok": all, "peerId": h.ID().String(), "checks": checks}); err != nil {
		return err
	}
	if !all {
		os.Exit(1)
	}
	return nil
}

// identified reads what identify brought: Connect waits for it.
func identified(h host.Host, id peer.ID, agent string) (string, error) {
	value, err := h.Peerstore().Get(id, "AgentVersion")
	if err != nil {
		return "", fmt.Errorf("no agent: %w", err)
	}
	text := fmt.Sprint(value)
	if text == "" || !strings.Contains(text, agent) {
		return "", fmt.Errorf("agent is %q", text)
	}
	wanted := []protocol.ID{echoProtocol, halfCloseProtocol, resetProtocol, ping.ID}
	supported, err := h.Peerstore().SupportsProtocols(id, wanted...)
	if err != nil {
		return "", err
	}
	if len(supported) != len(wanted) {
		return "", fmt.Errorf("of %v only %v seen", wanted, supported)
	}
	return text, nil
}

func pinged(ctx context.Context, h host.Host, id peer.ID) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := ping.Ping(ctx, h, id)
	for range 3 {
		if r := <-results; r.Error != nil {
			return "", r.Error
		}
	}
	return "3 pings", nil
}

func echoed(ctx context.Context, h host.Host, id peer.ID) (string, error) {
	s, err := h.NewStream(ctx, id, echoProtocol)
	if err != nil {
		return "", err
	}
	defer s.Reset()
	data := make([]byte, echoBytes)
	if _, err := rand.Read(data); err != nil {
		return "", err
	}
	sent := sha256.Sum256(data)
	writing := make(chan error, 1)
	go func() {
		if _, err := s.Write(data); err != nil {
			writing <- err
			return
		}
		writing <- s.CloseWrite()
	}()
	hash := sha256.New()
	count, err := io.Copy(hash, s)
	if err != nil {
		return "", fmt.Errorf("after %d bytes: %w", count, err)
	}
	if err := <-writing; err != nil {
		return "", err
	}
	if count != echoBytes || !bytes.Equal(hash.Sum(nil), sent[:]) {
		return "", fmt.Errorf("%d bytes came back, or others than sent", count)
	}
	return fmt.Sprintf("%d bytes", count), nil
}

func halfClosed(ctx context.Context, h host.Host, id peer.ID) (string, error) {
	s, err := h.NewStream(ctx, id, halfCloseProtocol)
	if err != nil {
		return "", err
	}
	defer s.Reset()
	data := bytes.Repeat([]byte{0x5a}, halfCloseBytes)
	if _, err := s.Write(data); err != nil {
		return "", err
	}
	if err := s.CloseWrite(); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(s)
	if err != nil {
		return "", err
	}
	if want := sha256.Sum256(data); !bytes.Equal(answer, want[:]) {
		return "", fmt.Errorf("answer is %x", answer)
	}
	return "digest after our end was closed", nil
}

func wasReset(ctx context.Context, h host.Host, id peer.ID) (string, error) {
	s, err := h.NewStream(ctx, id, resetProtocol)
	if err != nil {
		return "", err
	}
	defer s.Reset()
	if _, err := s.Write([]byte{1}); err != nil {
		return "", err
	}
	_, err = io.ReadAll(s)
	if !errors.Is(err, network.ErrReset) {
		return "", fmt.Errorf("want a reset, have %v", err)
	}
	return err.Error(), nil
}

func refused(ctx context.Context, h host.Host, id peer.ID) (string, error) {
	s, err := h.NewStream(ctx, id, "/test/nobody-speaks-this/1.0.0")
	if err == nil {
		_ = s.Reset()
		return "", errors.New("an unknown protocol was accepted")
	}
	return err.Error(), nil
}

// wrongPeer dials the same address with the name of somebody else.
func wrongPeer(ctx context.Context, target peer.AddrInfo) (string, error) {
	_, public, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return "", err
	}
	other, err := peer.IDFromPublicKey(public)
	if err != nil {
		return "", err
	}
	h, err := newHost()
	if err != nil {
		return "", err
	}
	defer h.Close()
	if err := h.Connect(ctx, peer.AddrInfo{ID: other, Addrs: target.Addrs}); err != nil {
		return "refused", nil
	}
	return "", errors.New("a wrong PeerId was accepted")
}

// measure runs the perf protocol once a direction and prints seconds and bytes.
func measure(ctx context.Context, target peer.AddrInfo, upload, download int64) error {
	h, err := newHost()
	if err != nil {
		return err
	}
	defer h.Close()
	if err := h.Connect(ctx, target); err != nil {
		return err
	}
	up, err := perf(ctx, h, target.ID, upload, 0)
	if err != nil {
		return err
	}
	down, err := perf(ctx, h, target.ID, 0, download)
	if err != nil {
		return err
	}
	return print(map[string]any{
		"ok":       true,
		"upload":   map[string]any{"bytes": upload, "seconds": up.Seconds()},
		"download": map[string]any{"bytes": download, "seconds": down.Seconds()},
	})
}

func perf(ctx context.Context, h host.Host, id peer.ID, upload, download int64) (time.Duration, error) {
	s, err := h.NewStream(ctx, id, perfProtocol)
	if err != nil {
		return 0, err
	}
	defer s.Reset()
	start := time.Now()
	if err := binary.Write(s, binary.BigEndian, uint64(download)); err != nil {
		return 0, err
	}
	if err := sendZeros(s, upload); err != nil {
		return 0, err
	}
	if err := s.CloseWrite(); err != nil {
		return 0, err
	}
	count, err := io.Copy(io.Discard, s)
	if err == nil && count != download {
		err = fmt.Errorf("%d bytes came, not %d", count, download)
	}
	return time.Since(start), err
}
