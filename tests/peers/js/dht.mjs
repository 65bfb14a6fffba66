// js-libp2p's DHT behind the adapter of ../shared/dht.mjs.
import { generateKeyPair } from '@libp2p/crypto/keys'
import { identify } from '@libp2p/identify'
import { kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import { noise } from '@libp2p/noise'
import { peerIdFromString } from '@libp2p/peer-id'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createIPNSRecord, marshalIPNSRecord, multihashToIPNSRoutingKey, unmarshalIPNSRecord } from 'ipns'
import { ipnsSelector } from 'ipns/selector'
import { ipnsValidator } from 'ipns/validator'
import { createLibp2p } from 'libp2p'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { carryOut, isBetter, NAMESPACE, validate } from '../shared/dht.mjs'

const RAW = 0x55

export async function serveDht({ name }) {
  const best = (key, values) =>
    values.reduce((at, value, i) => (isBetter(key, value, values[at]) ? i : at), 0)
  const privateKey = await generateKeyPair('Ed25519')
  const node = await createLibp2p({
    privateKey,
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    nodeInfo: { userAgent: 'test-peer-js/1.0.0' },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionMonitor: { enabled: false },
    connectionGater: { denyDialMultiaddr: () => false },
    services: {
      identify: identify(),
      ping: ping(),
      dht: kadDHT({
        protocol: name,
        clientMode: false,
        peerInfoMapper: passthroughMapper,
        allowQueryWithZeroPeers: true,
        validators: { [NAMESPACE]: async (key, value) => validate(key, value), ipns: ipnsValidator },
        selectors: { [NAMESPACE]: best, ipns: ipnsSelector },
      }),
    },
  })
  const { contentRouting, peerRouting } = node
  const cidOf = (multihash) => CID.createV1(RAW, Digest.decode(multihash))
  const collect = async (found, of) => {
    const all = []
    for await (const one of found) all.push(of(one))
    return all
  }
  const print = { peerId: node.peerId.toString(), addresses: node.getMultiaddrs().map(String) }
  process.stdout.write(`${JSON.stringify(print)}\n`)
  await carryOut({
    connect: (address) => node.dial(multiaddr(address)),
    put: (key, value) => contentRouting.put(key, value),
    get: (key) => contentRouting.get(key),
    provide: (key) => contentRouting.provide(cidOf(key)),
    providers: (key) => collect(contentRouting.findProviders(cidOf(key)), ({ id }) => id.toString()),
    async findPeer(name) {
      const { multiaddrs } = await peerRouting.findPeer(peerIdFromString(name))
      return multiaddrs.map(String)
    },
    async publish(value) {
      const record = await createIPNSRecord(privateKey, value, 0, 3_600_000)
      const key = multihashToIPNSRoutingKey(privateKey.publicKey.toMultihash())
      await contentRouting.put(key, marshalIPNSRecord(record))
    },
    async resolve(name) {
      const key = multihashToIPNSRoutingKey(peerIdFromString(name).toMultihash())
      const bytes = await contentRouting.get(key)
      await ipnsValidator(key, bytes)
      return unmarshalIPNSRecord(bytes).value
    },
    closest: (key) => collect(peerRouting.getClosestPeers(key), ({ id }) => id.toString()),
  })
  await node.stop()
}
