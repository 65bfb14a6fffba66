package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"io"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
)

const (
	echoProtocol      = protocol.ID("/echo/1.0.0")
	halfCloseProtocol = protocol.ID("/test/half-close/1.0.0")
	resetProtocol     = protocol.ID("/test/reset/1.0.0")
	perfProtocol      = protocol.ID("/perf/1.0.0")
)

// chunk is how much is read or written at once.
const chunk = 64 << 10

// serve registers the test protocols.
func serve(h host.Host) {
	h.SetStreamHandler(echoProtocol, func(s network.Stream) { finish(s, echo(s)) })
	h.SetStreamHandler(halfCloseProtocol, func(s network.Stream) { finish(s, answerDigest(s)) })
	h.SetStreamHandler(perfProtocol, func(s network.Stream) { finish(s, servePerf(s)) })
	h.SetStreamHandler(resetProtocol, func(s network.Stream) {
		_, _ = io.ReadFull(s, make([]byte, 1))
		_ = s.Reset()
	})
}

func finish(s network.Stream, err error) {
	if err != nil {
		_ = s.Reset()
		return
	}
	_ = s.Close()
}

func echo(s network.Stream) error {
	_, err := io.CopyBuffer(struct{ io.Writer }{s}, struct{ io.Reader }{s}, make([]byte, chunk))
	return err
}

func answerDigest(s network.Stream) error {
	hash := sha256.New()
	if _, err := io.Copy(hash, s); err != nil {
		return err
	}
	_, err := s.Write(hash.Sum(nil))
	return err
}

func servePerf(s network.Stream) error {
	var length [8]byte
	reader := bufio.NewReaderSize(s, chunk)
	if _, err := io.ReadFull(reader, length[:]); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, reader); err != nil {
		return err
	}
	return sendZeros(s, int64(binary.BigEndian.Uint64(length[:])))
}

func sendZeros(w io.Writer, count int64) error {
	zeros := make([]byte, chunk)
	for count > 0 {
		n, err := w.Write(zeros[:min(count, chunk)])
		if err != nil {
			return err
		}
		count -= int64(n)
	}
	return nil
}

// unlimited keeps go-libp2p's default limits out of the measurements.
func unlimited() network.ResourceManager {
	manager, err := rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(rcmgr.InfiniteLimits))
	if err != nil {
		return &network.NullResourceManager{}
	}
	return manager
}
