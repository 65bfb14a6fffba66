// js-libp2p's mDNS behind the adapter of ../shared/mdns.mjs.
import os from 'node:os'
import { mdns } from '@libp2p/mdns'
import { noise } from '@libp2p/noise'
import { peerIdFromString } from '@libp2p/peer-id'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { createLibp2p } from 'libp2p'
import { carryOut } from '../shared/mdns.mjs'

export async function serveMdns({ port }) {
  // It speaks on all networks of the machine; the tests' are to stay on the machine itself.
  const { networkInterfaces } = os
  os.networkInterfaces = () => {
    const internal = Object.entries(networkInterfaces()).filter(([, [{ internal }]]) => internal)
    return Object.fromEntries(internal)
  }
  const heard = new Map()
  let grown = () => {}
  const node = await createLibp2p({
    start: false,
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionMonitor: { enabled: false },
    connectionGater: { denyDialMultiaddr: () => false },
    peerDiscovery: [mdns({ port: Number(port) })],
  })
  node.addEventListener('peer:discovery', ({ detail: { id, multiaddrs } }) => {
    heard.set(id.toString(), multiaddrs.map(String))
    grown()
  })
  await node.start()
  const print = { peerId: node.peerId.toString(), addresses: node.getMultiaddrs().map(String) }
  process.stdout.write(`${JSON.stringify(print)}\n`)
  await carryOut({
    async find(name) {
      while (!heard.has(name)) {
        await new Promise((resolve) => {
          grown = resolve
        })
      }
      return heard.get(name)
    },
    dial: (name) => node.dial(peerIdFromString(name)),
  })
  await node.stop()
}
