// The npm package behind the adapter of ../shared/protocols.mjs, in Node and in a page.
import { createNode } from 'polypeer'

const UNLIMITED = { duration: Number.POSITIVE_INFINITY, data: Number.POSITIVE_INFINITY }

export async function makePeer({ listen = [], relay = false, autonat = false, webrtc } = {}) {
  const node = await createNode({
    webrtc,
    relay: relay && UNLIMITED,
    autonat,
    // For the tests loopback is as good as the Internet.
    addresses: { private: autonat },
  })
  const reserved = new Promise((resolve) => node.addEventListener('relay:reserved', resolve, { once: true }))
  for (const address of listen) await node.listen(address)
  if (listen.some((address) => /\/p2p\/[^/]+\/p2p-circuit$/.test(address))) await reserved
  let connection
  /** By PeerId: a relay on the way is identified too. */
  const identified = new Map()
  let onIdentified = () => {}
  node.addEventListener('peer:identify', ({ detail }) => {
    identified.set(detail.peer, detail)
    onIdentified()
  })
  return {
    peerId: node.peerId,
    get addresses() {
      return node.addresses
    },
    async connect(address) {
      connection = await node.dial(address)
      return connection.peer
    },
    async identify() {
      while (!identified.has(connection.peer)) {
        await new Promise((resolve) => {
          onIdentified = resolve
        })
      }
      return identified.get(connection.peer)
    },
    ping: () => connection.ping(),
    open: async (protocol) => adapt(await connection.openStream(protocol, { limited: true })),
    handle: (protocol, handler) =>
      node.handle(protocol, (stream) => handler(adapt(stream)), { limited: true }),
    disconnect: () => connection.close(),
    close: () => node.close(),
  }
}

const adapt = (stream) => ({
  read: () => stream.read(),
  write: (bytes) => stream.write(bytes),
  closeWrite: () => stream.closeWrite(),
  reset: () => stream.abort(new Error('reset on purpose')),
})
