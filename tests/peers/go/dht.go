package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/ipfs/boxo/ipns"
	"github.com/ipfs/boxo/path"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/multiformats/go-multihash"
)

// The network of the DHT unless told otherwise; go-libp2p's names end so.
const dhtName = "/test/kad/1.0.0"

// numbered judges values that are `sequence:anything`; the highest sequence is the best.
type numbered struct{}

func sequence(value []byte) (int, error) {
	digits, _, _ := strings.Cut(string(value), ":")
	return strconv.Atoi(digits)
}

func (numbered) Validate(_ string, value []byte) error {
	_, err := sequence(value)
	return err
}

func (numbered) Select(_ string, values [][]byte) (int, error) {
	best, highest := -1, -1
	for at, value := range values {
		if number, err := sequence(value); err == nil && number > highest {
			best, highest = at, number
		}
	}
	if best < 0 {
		return 0, errors.New("none is good")
	}
	return best, nil
}

// dhtPeer is in a DHT, as the input says.
type dhtPeer struct {
	host host.Host
	key  crypto.PrivKey
	dht  *dht.IpfsDHT
}

// dhtRequest is one line of the input.
type dhtRequest struct {
	Op      string
	Key     []byte
	Value   json.RawMessage
	Peer    string
	Address string
}

// serveDht carries out what the input asks for, until it ends.
func serveDht(name string) error {
	key, _, err := crypto.GenerateEd25519Key(nil)
	if err != nil {
		return err
	}
	h, err := newHostWith([]libp2p.Option{libp2p.Identity(key)}, loopback)
	if err != nil {
		return err
	}
	defer h.Close()
	ctx := context.Background()
	d, err := newDht(h, name, dht.ModeServer)
	if err != nil {
		return err
	}
	defer d.Close()
	addresses := []string{}
	for _, a := range h.Addrs() {
		addresses = append(addresses, a.Encapsulate(ma.StringCast("/p2p/"+h.ID().String())).String())
	}
	if err := print(map[string]any{"peerId": h.ID().String(), "addresses": addresses}); err != nil {
		return err
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	p := dhtPeer{h, key, d}
	for lines.Scan() {
		answer, err := p.answer(ctx, lines.Bytes())
		if err != nil {
			answer = map[string]any{"ok": false, "error": err.Error()}
		} else {
			answer["ok"] = true
		}
		if err := print(answer); err != nil {
			return err
		}
	}
	return lines.Err()
}

// newDht takes part in a DHT.
func newDht(h host.Host, name string, mode dht.ModeOpt) (*dht.IpfsDHT, error) {
	return dht.New(context.Background(), h,
		dht.Mode(mode),
		dht.ProtocolPrefix(protocol.ID(strings.TrimSuffix(name, "/kad/1.0.0"))),
		dht.Validator(record.NamespacedValidator{
			"pk":   record.PublicKeyValidator{},
			"ipns": ipns.Validator{KeyBook: h.Peerstore()},
			"test": numbered{},
		}),
	)
}

func (p dhtPeer) answer(ctx context.Context, line []byte) (map[string]any, error) {
	var asked dhtRequest
	if err := json.Unmarshal(line, &asked); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	none := map[string]any{}
	switch asked.Op {
	case "connect":
		info, err := peer.AddrInfoFromString(asked.Address)
		if err != nil {
			return nil, err
		}
		return none, p.host.Connect(ctx, *info)
	case "put":
		var value []byte
		if err := json.Unmarshal(asked.Value, &value); err != nil {
			return nil, err
		}
		return none, p.dht.PutValue(ctx, string(asked.Key), value)
	case "get":
		value, err := p.dht.GetValue(ctx, string(asked.Key))
		return map[string]any{"value": value}, err
	case "provide":
		content, err := contentOf(asked.Key)
		if err != nil {
			return nil, err
		}
		return none, p.dht.Provide(ctx, content, true)
	case "providers":
		content, err := contentOf(asked.Key)
		if err != nil {
			return nil, err
		}
		peers := []string{}
		for info := range p.dht.FindProvidersAsync(ctx, content, 20) {
			peers = append(peers, info.ID.String())
		}
		return map[string]any{"peers": peers}, nil
	case "closest":
		peers, err := p.dht.GetClosestPeers(ctx, string(asked.Key))
		return map[string]any{"peers": peers}, err
	case "publish":
		var value string
		if err := json.Unmarshal(asked.Value, &value); err != nil {
			return nil, err
		}
		return none, p.publish(ctx, value)
	}
	id, err := peer.Decode(asked.Peer)
	if err != nil {
		return nil, err
	}
	switch asked.Op {
	case "findPeer":
		info, err := p.dht.FindPeer(ctx, id)
		return map[string]any{"addresses": info.Addrs}, err
	case "resolve":
		bytes, err := p.dht.GetValue(ctx, string(ipns.NameFromPeer(id).RoutingKey()))
		if err != nil {
			return nil, err
		}
		// The DHT has judged it.
		found, err := ipns.UnmarshalRecord(bytes)
		if err != nil {
			return nil, err
		}
		value, err := found.Value()
		if err != nil {
			return nil, err
		}
		return map[string]any{"value": value.String()}, nil
	}
	return nil, fmt.Errorf("no such request: %s", asked.Op)
}

// publish has the peer's own name point to a path.
func (p dhtPeer) publish(ctx context.Context, value string) error {
	target, err := path.NewPath(value)
	if err != nil {
		return err
	}
	signed, err := ipns.NewRecord(p.key, target, 0, time.Now().Add(time.Hour), time.Minute)
	if err != nil {
		return err
	}
	bytes, err := ipns.MarshalRecord(signed)
	if err != nil {
		return err
	}
	return p.dht.PutValue(ctx, string(ipns.NameFromPeer(p.host.ID()).RoutingKey()), bytes)
}

func contentOf(hash []byte) (cid.Cid, error) {
	_, sum, err := multihash.MHFromBytes(hash)
	return cid.NewCidV1(cid.Raw, sum), err
}
