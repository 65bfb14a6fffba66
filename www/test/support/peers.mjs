// Peers of the npm package in the room of the native server, and as its host.
import { createNode } from 'polypeer'

export const CHAT = '/polypeer/chat/1.0.0'

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

/** A peer in Node that has entered the room: `{ peer, say, hear }`. */
export async function nodePeer(t, addresses) {
  const node = await createNode()
  t.after(() => node.close())
  const stream = await node.dial(addresses, CHAT)
  const heard = messages(stream)
  return {
    peer: node.peerId,
    say: (text) => stream.write(frame({ text })),
    /** The next that somebody says; the first is the room's welcome. */
    async hear() {
      for (;;) {
        const { value } = await heard.next()
        if (value.text !== '') return value
      }
    },
  }
}

/** A server made of the npm package, which does as `host` says with each stream of the room. */
export async function roomOf(t, host) {
  const node = await createNode({ listen: ['/ip4/127.0.0.1/tcp/0/ws'] })
  t.after(() => node.close())
  node.handle(CHAT, (stream) => host(stream, node))
  return node.addresses[0]
}
