package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	dht "github.com/libp2p/go-libp2p-kad-dht"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/discovery/routing"
	ma "github.com/multiformats/go-multiaddr"
)

type request struct {
	Op      string `json:"op"`
	Address string `json:"address"`
	Topic   string `json:"topic"`
	Data    []byte `json:"data"`
	Count   int    `json:"count"`
}

// room is one topic with all that has come of it.
type room struct {
	topic    *pubsub.Topic
	lock     sync.Mutex
	grown    *sync.Cond
	received []map[string]string
}

func (r *room) collect(sub *pubsub.Subscription, own peer.ID) {
	for {
		message, err := sub.Next(context.Background())
		if err != nil {
			return
		}
		if message.GetFrom() == own {
			continue
		}
		r.lock.Lock()
		r.received = append(r.received, map[string]string{
			"from": message.GetFrom().String(),
			"data": base64.StdEncoding.EncodeToString(message.Data),
		})
		r.lock.Unlock()
		r.grown.Broadcast()
	}
}

// servePubsub does what the input asks for until it ends; with the discovery "dht" it looks
// for the peers of its topics in a DHT.
func servePubsub(name, discovery string) error {
	h, err := newHost("/ip4/127.0.0.1/tcp/0")
	if err != nil {
		return err
	}
	defer h.Close()
	options := []pubsub.Option{}
	var d *dht.IpfsDHT
	if discovery == "dht" {
		if d, err = newDht(h, dhtName, dht.ModeClient); err != nil {
			return err
		}
		defer d.Close()
		options = append(options, pubsub.WithDiscovery(routing.NewRoutingDiscovery(d)))
	}
	ps, err := newPubsub(h, name, options...)
	if err != nil {
		return err
	}
	own := h.Addrs()[0].Encapsulate(ma.StringCast("/p2p/" + h.ID().String())).String()
	if err := print(map[string]any{"peerId": h.ID().String(), "addresses": []string{own}}); err != nil {
		return err
	}
	rooms := map[string]*room{}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		var asked request
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			return err
		}
		answer, err := carryOut(h, ps, rooms, asked)
		if err == nil && asked.Op == "connect" && d != nil {
			err = settled(d)
		}
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

// settled waits until the DHT knows whom it can ask: a topic that is told of before is told of
// again only after minutes.
func settled(d *dht.IpfsDHT) error {
	for begun := time.Now(); d.RoutingTable().Size() == 0; time.Sleep(10 * time.Millisecond) {
		if time.Since(begun) > patience {
			return errors.New("nobody of the DHT is known")
		}
	}
	return nil
}

func newPubsub(h host.Host, name string, options ...pubsub.Option) (*pubsub.PubSub, error) {
	ctx := context.Background()
	switch name {
	case "":
		return pubsub.NewGossipSub(ctx, h, options...)
	case string(pubsub.FloodSubID):
		return pubsub.NewFloodSub(ctx, h)
	default:
		only := pubsub.WithGossipSubProtocols([]protocol.ID{protocol.ID(name)}, pubsub.GossipSubDefaultFeatures)
		return pubsub.NewGossipSub(ctx, h, only)
	}
}

func carryOut(h host.Host, ps *pubsub.PubSub, rooms map[string]*room, asked request) (map[string]any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	here := rooms[asked.Topic]
	if here == nil && asked.Op != "connect" && asked.Op != "subscribe" {
		return nil, fmt.Errorf("not subscribed to %q", asked.Topic)
	}
	switch asked.Op {
	case "connect":
		info, err := peer.AddrInfoFromString(asked.Address)
		if err != nil {
			return nil, err
		}
		return map[string]any{}, h.Connect(ctx, *info)
	case "subscribe":
		topic, err := ps.Join(asked.Topic)
		if err != nil {
			return nil, err
		}
		sub, err := topic.Subscribe(pubsub.WithBufferSize(4096))
		if err != nil {
			return nil, err
		}
		made := &room{topic: topic}
		made.grown = sync.NewCond(&made.lock)
		rooms[asked.Topic] = made
		go made.collect(sub, h.ID())
		return map[string]any{}, nil
	case "publish":
		return map[string]any{}, here.topic.Publish(ctx, asked.Data)
	case "peers":
		return map[string]any{"peers": append([]peer.ID{}, here.topic.ListPeers()...)}, nil
	case "received":
		here.lock.Lock()
		defer here.lock.Unlock()
		for len(here.received) < asked.Count {
			here.grown.Wait()
		}
		return map[string]any{"messages": here.received}, nil
	}
	return nil, fmt.Errorf("no such request: %s", asked.Op)
}
