// The npm package behind the adapter of ../shared/protocols.mjs, in Node and in a page.
import { createNode } from 'polypeer'

export async function makePeer({ listen = [] } = {}) {
  const node = await createNode({ listen })
  let connection
  const identified = new Promise((resolve) => {
    node.addEventListener('peer:identify', ({ detail }) => resolve(detail), { once: true })
  })
  return {
    peerId: node.peerId,
    addresses: node.addresses,
    async connect(address) {
      connection = await node.dial(address)
      return connection.peer
    },
    identify: () => identified,
    ping: () => connection.ping(),
    open: async (protocol) => adapt(await connection.openStream(protocol)),
    handle: (protocol, handler) => node.handle(protocol, (stream) => handler(adapt(stream))),
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
