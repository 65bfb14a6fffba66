// The npm package in a page, which asks a server of another origin for what a DHT knows.
import { createNode, delegatedRouting } from 'polypeer'

async function withNode(action) {
  const node = await createNode({ webrtc: { iceServers: [] } })
  try {
    return await action(node)
  } finally {
    await node.close()
  }
}

async function all(found) {
  const list = []
  for await (const one of found) list.push(one)
  return list
}

globalThis.testPeer = {
  providers: (url, cid, filters) => all(delegatedRouting(url, filters).findProviders(cid)),
  peer: (url, peer) => delegatedRouting(url).findPeer(peer),
  closest: (url, key) => all(delegatedRouting(url).closestPeers(key)),
  code: (url, cid) =>
    all(delegatedRouting(url).findProviders(cid)).catch(({ code, status }) => ({ code, status })),

  /** Has its name point to a value, and finds it again at another server. */
  name: (urls, value) =>
    withNode(async (node) => {
      const [there, elsewhere] = urls.map((url) => delegatedRouting(url))
      await node.ipns.publish(value, { routing: there })
      const found = await node.ipns.resolve(node.peerId, { routing: elsewhere })
      return { name: found.name, value: found.value, sequence: Number(found.sequence) }
    }),

  resolve: (url, name) =>
    withNode(async (node) => (await node.ipns.resolve(name, { routing: delegatedRouting(url) }))?.value),

  /** Finds who provides something, and reaches one of them. */
  reach: (url, cid) =>
    withNode(async (node) => {
      const routing = delegatedRouting(url, { filterAddrs: ['ws'] })
      for await (const { peer, addresses } of routing.findProviders(cid)) {
        const full = addresses.map((address) => `${address}/p2p/${peer}`)
        const connection = await node.dial(full).catch(() => undefined)
        if (connection !== undefined) return connection.peer
      }
      return undefined
    }),
}
