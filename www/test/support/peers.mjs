// Peers of the npm package that talk with pages, and one that is the server.
import { createNode } from 'polypeer'

export const CHAT = '/polypeer/chat/1.0.0'
const TOPIC = '/polypeer/room/1.0.0'

/** A message with its length before it, as bytes. */
export function frame(message) {
  const body = Buffer.from(JSON.stringify(message))
  const head = body.length < 128 ? [body.length] : [(body.length & 0x7f) | 0x80, body.length >> 7]
  return Buffer.concat([Buffer.from(head), body])
}

/** The messages that come on a stream. */
export async function* messages(stream) {
  let rest = Buffer.alloc(0)
  for await (const bytes of stream) {
    rest = Buffer.concat([rest, bytes])
    for (;;) {
      const long = rest[0] > 127
      if (rest.length < (long ? 2 : 1)) break
      const start = long ? 2 : 1
      const end = start + (long ? (rest[0] & 0x7f) | (rest[1] << 7) : rest[0])
      if (rest.length < end) break
      yield JSON.parse(rest.subarray(start, end))
      rest = rest.subarray(end)
    }
  }
}

/**
 * A peer in Node that has entered the room, where pages find it and dial it through
 * the server: `{ peer, say, hear }`.
 */
export async function nodePeer(t, addresses) {
  const relay = addresses.find((address) => address.includes('/ws/'))
  const node = await createNode({ listen: [`${relay}/p2p-circuit`], pubsub: { limited: true } })
  t.after(() => node.close())
  await reserved(node)
  const heard = queue()
  const topic = node.pubsub.subscribe(TOPIC, ({ from, data }) => {
    heard.put({ text: JSON.parse(new TextDecoder().decode(data)).text, from })
  })
  const room = await node.dial(relay, CHAT)
  await messages(room).next()
  return {
    peer: node.peerId,
    /** The next line that somebody says. */
    hear: () => heard.take(),
    /** Says something to all who are in the room. */
    say: (text) => topic.publish(JSON.stringify({ text })),
    /** Who is in the room. */
    get others() {
      return topic.peers
    },
  }
}

/** Resolves when a relay keeps a place for the node. */
async function reserved(node) {
  if (node.relays.length === 0)
    await new Promise((resolve) => node.addEventListener('relay:reserved', resolve, { once: true }))
}

function queue() {
  const items = []
  const takers = []
  return {
    put: (item) => (takers.length > 0 ? takers.shift()(item) : items.push(item)),
    take: () => (items.length > 0 ? items.shift() : new Promise((resolve) => takers.push(resolve))),
  }
}

/** A server made of the npm package, which does as `host` says with each stream of the room. */
export async function roomOf(t, host) {
  const node = await createNode({ listen: ['/ip4/127.0.0.1/tcp/0/ws'] })
  t.after(() => node.close())
  node.handle(CHAT, (stream) => host(stream, node))
  return node.addresses[0]
}
