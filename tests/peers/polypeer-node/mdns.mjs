// The npm package's mDNS behind the adapter of ../shared/mdns.mjs.
import { createNode } from 'polypeer'
import { carryOut } from '../shared/mdns.mjs'

export async function serveMdns({ port }) {
  const mdns = { loopback: true, port: Number(port) }
  const node = await createNode({ listen: ['/ip4/127.0.0.1/tcp/0'], mdns })
  process.stdout.write(`${JSON.stringify({ peerId: node.peerId, addresses: node.addresses })}\n`)
  await carryOut({
    async find(name) {
      for await (const { peer, addresses } of node.discovery) if (peer === name) return addresses
    },
    dial: (name) => node.dial(name),
  })
  await node.close()
}
