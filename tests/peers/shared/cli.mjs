// The command line of ../README.md for a peer that runs in Node.
import { parseArgs } from 'node:util'
import { handshakes, streams, throughput } from './bench.mjs'
import { check, serve } from './protocols.mjs'

/**
 * `makePeer({ listen, relay, autonat })` makes a peer that listens on the multiaddresses
 * `listen`, is a relay without limits if `relay` says so, and dials for others if
 * `autonat` does; `asked` are commands of the peer's own, which may have a report.
 */
export async function main(makePeer, asked = {}) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      transport: { type: 'string', default: 'tcp' },
      agent: { type: 'string', default: '' },
      upload: { type: 'string', default: '0' },
      download: { type: 'string', default: '0' },
      count: { type: 'string', default: '100' },
      messages: { type: 'string', default: '100' },
      window: { type: 'string', default: '16' },
      through: { type: 'string' },
      // The only one to speak, of publish and subscribe.
      protocol: { type: 'string' },
      // Of the peers of topics: `dht`, or `announce` in a topic for that.
      discovery: { type: 'string' },
      // Of AutoNAT: both are served.
      version: { type: 'string' },
      // That mDNS is spoken at.
      port: { type: 'string', default: '5353' },
      // That of a DHT.
      name: { type: 'string', default: '/test/kad/1.0.0' },
    },
  })
  const [command, address] = positionals
  if (asked[command]) {
    const report = await asked[command](values)
    if (report !== undefined) print(report)
    return
  }
  const dialer = async () => {
    const peer = await makePeer({ listen: [] })
    serve(peer)
    return peer
  }
  switch (command) {
    case 'listen':
    case 'relay':
    case 'autonat-serve': {
      const end = { tcp: 'tcp/0', ws: 'tcp/0/ws', 'webrtc-direct': 'udp/0/webrtc-direct' }[values.transport]
      if (end === undefined) throw new Error(`no such transport: ${values.transport}`)
      const place = values.through ? `${values.through}/p2p-circuit` : `/ip4/127.0.0.1/${end}`
      const [relay, autonat] = [command === 'relay', command === 'autonat-serve']
      const peer = await makePeer({ listen: [place], relay, autonat })
      serve(peer)
      print({ peerId: peer.peerId, addresses: peer.addresses })
      // A benchmark that reads our memory asks for the garbage to be gone.
      for await (const _ of process.stdin) {
        globalThis.gc?.()
        print({})
      }
      await peer.close()
      return
    }
    case 'dial': {
      const report = await check(dialer, address, { agent: values.agent })
      print(report)
      process.exitCode = report.ok ? 0 : 1
      return
    }
    case 'perf':
      print(
        await throughput(dialer, address, {
          upload: Number(values.upload),
          download: Number(values.download),
        }),
      )
      return
    case 'streams':
      print(await streams(dialer, address, { count: Number(values.count) }))
      return
    case 'handshakes':
      print(await handshakes(dialer, address, { count: Number(values.count) }))
      return
    default:
      throw new Error('usage: peer listen|dial|perf|streams|handshakes (see README.md)')
  }
}

const print = (value) => process.stdout.write(`${JSON.stringify(value)}\n`)
