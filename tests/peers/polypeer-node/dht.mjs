// The npm package's DHT behind the adapter of ../shared/dht.mjs.
import { createNode } from 'polypeer'
import { carryOut, isBetter, NAMESPACE, validate } from '../shared/dht.mjs'

export async function serveDht({ name }) {
  const dht = { protocol: name, mode: 'server', validators: { [NAMESPACE]: { validate, isBetter } } }
  const node = await createNode({ dht, listen: ['/ip4/127.0.0.1/tcp/0'] })
  const collect = async (query, of) => {
    const all = []
    for await (const one of query) all.push(of(one))
    return all
  }
  const print = { peerId: node.peerId, addresses: node.addresses }
  process.stdout.write(`${JSON.stringify(print)}\n`)
  await carryOut({
    connect: (address) => node.dial(address),
    put: (key, value) => node.dht.put(key, value),
    async get(key) {
      const values = await collect(node.dht.get(key), (value) => value)
      if (values.length === 0) throw new Error('nobody has it')
      return values.at(-1)
    },
    provide: (key) => node.dht.provide(key),
    providers: (key) => collect(node.dht.findProviders(key), ({ peer }) => peer),
    async findPeer(name) {
      const [found = []] = await collect(node.dht.findPeer(name), ({ addresses }) => addresses)
      return found
    },
    publish: (value) => node.ipns.publish(value),
    async resolve(name) {
      const found = await node.ipns.resolve(name)
      if (found === undefined) throw new Error('nobody has it')
      return found.value
    },
    closest: (key) => collect(node.dht.closestPeers(key), (peer) => peer),
  })
  await node.close()
}
