// What the page and the worker run: each function answers with plain data.
import {
  createNode,
  indexedDbKeyStore,
  indexedDbPeerStore,
  indexedDbRecordStore,
  PolypeerError,
} from 'polypeer'
import { createNode as createMiniNode } from 'polypeer/mini'
import { digest, ECHO, random, readAll } from './bytes.mjs'

async function withNode(options, action, create = createNode) {
  const node = await create(options)
  try {
    return await action(node)
  } finally {
    await node.close()
  }
}

const code = (promise) =>
  promise.then(
    () => 'no error',
    (error) => (error instanceof PolypeerError ? error.code : String(error)),
  )

const echoes = (addresses, length) => async (node) => {
  const stream = await node.dial(addresses, ECHO)
  const sent = random(length)
  const [received] = await Promise.all([readAll(stream), stream.write(sent).then(() => stream.closeWrite())])
  return (await digest(received)) === (await digest(sent)) && stream.status === 'closed'
}

async function joined(node, addresses) {
  await node.dial(addresses)
  while (node.dht.status.peers === 0) await new Promise((resolve) => setTimeout(resolve, 5))
}

export const actions = {
  echo: (addresses, length) => withNode({}, echoes(addresses, length)),

  mini: (addresses, length) => withNode({}, echoes(addresses, length), createMiniNode),

  pipe: (addresses) =>
    withNode({}, async (node) => {
      const stream = await node.dial(addresses, ECHO)
      const sent = random(1_000_000)
      const [received] = await Promise.all([
        new Response(stream.readable).arrayBuffer(),
        new Blob([sent]).stream().pipeTo(stream.writable),
      ])
      return (await digest(received)) === (await digest(sent))
    }),

  /** Is reached through a relay, echoes once, and tells where it was reached. */
  reached: (relay) =>
    withNode({}, async (node) => {
      const done = new Promise((resolve) => {
        const echo = async (stream) => {
          const { connection } = stream
          const left = new Promise((leave) => connection.addEventListener('close', leave))
          await stream.readable.pipeTo(stream.writable)
          // The other has all of it when it goes.
          await left
          resolve(connection.remoteAddress)
        }
        node.handle(ECHO, echo)
      })
      await node.listen(`${relay}/p2p-circuit`)
      return await done
    }),

  /** Sends through a relay to whoever is at `address` and hears it back. */
  reach: (address) => withNode({}, echoes([address], 100_000)),

  /** Provides content, and finds who provides other content and what a name points to, by a DHT. */
  dht: (addresses, name, publisher) =>
    withNode({ dht: true }, async (node) => {
      await joined(node, addresses)
      const bytes = (text) => new TextEncoder().encode(text)
      const { successes } = await node.dht.provide(bytes(`${name} provides`))
      const found = []
      for await (const { peer } of node.routing.findProviders(bytes('a server provides'), { count: 1 }))
        found.push(peer)
      const { value } = await node.ipns.resolve(publisher)
      let refused
      try {
        node.dht.setMode('server')
      } catch (error) {
        refused = error.code
      }
      return { found, value, successes, refused, server: node.dht.status.server, peer: node.peerId }
    }),

  ping: (addresses) => withNode({}, (node) => node.ping(addresses)),

  errors: (addresses) =>
    withNode({}, async (node) => {
      const reset = await node.dial(addresses, '/test/reset/1.0.0')
      await reset.write(random(1))
      return {
        tcp: await node.dial('/ip4/127.0.0.1/tcp/1').catch((error) => error.attempts[0].error.code),
        refused: await node.dial('/ip4/127.0.0.1/tcp/1/ws').catch((error) => error.attempts[0].error.code),
        wrong: await code(node.dial('/ip4/1.2.3/tcp/1/ws')),
        protocol: await code(node.dial(addresses, '/nobody/1')),
        reset: await code(readAll(reset)),
        listen: await code(createNode({ listen: ['/ip4/127.0.0.1/tcp/0/ws'] })),
        load: await code(createNode({ wasm: '/nowhere.wasm' }).then((other) => other.close())),
      }
    }),

  // What each way to ask for a service ends with.
  services: () =>
    withNode({ dht: true }, async (node) => {
      const asked = [
        { relay: true },
        { autonat: true },
        { mdns: true },
        { rendezvousPoint: true },
        { dht: { mode: 'server' } },
      ]
      const codes = await Promise.all(asked.map((options) => code(createNode(options))))
      const calls = [
        async () => node.serveAsRelay(),
        async () => node.relayStats(),
        async () => node.serveAutonat(),
        async () => node.rendezvous.serve(),
        async () => node.rendezvous.stats,
        async () => node.dht.setMode('server'),
      ]
      for (const call of calls) codes.push(await code(call()))
      return { codes, reachability: node.reachability }
    }),

  // What a page has put into the DHT is there in its next run, which knows nobody yet.
  records: async (addresses, name) => {
    const dht = () => ({
      protocol: '/test/kad/1.0.0',
      recordStore: indexedDbRecordStore(name),
      validators: { n: { validate() {}, isBetter: () => false } },
    })
    const first = await withNode({ dht: dht() }, async (node) => {
      await joined(node, addresses)
      await node.dht.put('/n/key', new TextEncoder().encode('value'))
      return node.peerId
    })
    return withNode({ dht: dht() }, async (node) => {
      const found = []
      for await (const value of node.dht.get('/n/key')) found.push(new TextDecoder().decode(value))
      return { found, other: node.peerId !== first }
    })
  },

  // A node that is not closed: its page ends under it.
  remember: async (addresses, name, note) => {
    const node = await createNode({ peerStore: indexedDbPeerStore(name) })
    const { peer } = await node.dial(addresses)
    node.peerStore.patch(peer, { metadata: { note: new TextEncoder().encode(note) } })
    return peer
  },

  recall: (name, peer) =>
    withNode({ peerStore: indexedDbPeerStore(name) }, async (node) => {
      const note = node.peerStore.get(peer)?.metadata.note
      const connection = await node.dial(peer)
      return { note: note && new TextDecoder().decode(note), peer: connection.peer }
    }),

  // Hears what the node publishes, and says it back in capitals.
  topic: (addresses) =>
    withNode({}, async (node) => {
      const topic = node.pubsub.subscribe('page')
      await node.dial(addresses)
      for await (const { from, data } of topic) {
        const said = new TextDecoder().decode(data)
        if (said === 'bye') return from
        topic.publish(said.toUpperCase())
      }
      return 'it ended'
    }),

  // A session with a service of the node, which answers and is then left.
  service: (addresses) =>
    withNode({}, async (node) => {
      const answered = new Promise((resolve) => {
        const protocol = { name: '/test/service', versions: '^1', own: '1.0.0' }
        node.serve(
          { protocol },
          {
            connected: (session) => void session.send(new TextEncoder().encode('hello'), 'high'),
            received: (message, { protocol }) => resolve([protocol, new TextDecoder().decode(message)]),
          },
        )
      })
      await node.dial(addresses)
      return answered
    }),

  /** Where a peer was reached, over which its bytes come back, or why it was not. */
  reaches: (addresses) =>
    withNode({}, async (node) => {
      try {
        const connection = await node.dial(addresses)
        if (await echoes(addresses, 100_000)(node)) return connection.remoteAddress
      } catch (error) {
        return error.attempts?.[0].error.code ?? String(error)
      }
      return 'other bytes'
    }),

  asksForWebrtc: () =>
    withNode({}, async (node) => [
      await code(node.listen('/webrtc')),
      await code(createNode({ webrtc: true }).then((other) => other.close())),
    ]),

  // A node that stays, and what happens to its connections.
  stay: async (address) => {
    const node = await createNode()
    const log = []
    node.addEventListener('connection:open', () => log.push('open'))
    node.addEventListener('connection:close', () => log.push('close'))
    await node.dial(address)
    globalThis.stayed = { node, log }
  },

  leave: () => globalThis.stayed.node.close(),

  identity: (name) => withNode({ keyStore: indexedDbKeyStore(name) }, (node) => node.peerId),

  // Streams opened, used, and given up at random moments, many at a time.
  churn: (addresses, count) =>
    withNode({}, async (node) => {
      const connection = await node.dial(addresses)
      let left = count
      const ends = { done: 0, gone: 0 }
      const worker = async (lane) => {
        while (left-- > 0) {
          const abort = new AbortController()
          const chance = (left * 7 + lane * 3) % 10
          if (chance < 3) queueMicrotask(() => abort.abort())
          try {
            const stream = await connection.openStream(ECHO, { signal: abort.signal })
            await stream.write(new Uint8Array(chance + 1))
            if (chance === 4) stream.abort()
            else if (chance === 5) await stream.close()
            else {
              await stream.closeWrite()
              await readAll(stream)
            }
            ends.done++
          } catch {
            ends.gone++
          }
        }
      }
      await Promise.all(Array.from({ length: 40 }, (_, lane) => worker(lane)))
      const last = await connection.openStream(ECHO)
      await last.write(random(10))
      await last.closeWrite()
      return { ...ends, alive: (await readAll(last)).length === 10 }
    }),
}
