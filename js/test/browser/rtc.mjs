// A page with a node that stays, to be talked with by another page.
import { createNode, lendWebRTC } from 'polypeer'
import { digest, ECHO, random, readAll } from './bytes.mjs'

const SINK = '/test/sink/1.0.0'
const log = []
let node
let connection

const events = ['connection:open', 'connection:close', 'connection:upgraded', 'upgrade:failed', 'peer:path']

/** What the tests run here; each answers with plain data. */
globalThis.rtc = {
  async start(options = {}) {
    node = await createNode({ webrtc: { iceServers: [], ...options } })
    node.handle(ECHO, (stream) => stream.readable.pipeTo(stream.writable))
    // Reads nothing for a while, and then all of it.
    node.handle(SINK, async (stream) => {
      const [first] = await stream.read()
      await new Promise((resolve) => setTimeout(resolve, first * 10))
      let count = 1
      for await (const bytes of stream) count += bytes.length
      await stream.write(new TextEncoder().encode(String(count)))
      await stream.closeWrite()
    })
    for (const type of events) {
      node.addEventListener(type, ({ detail }) => {
        const one = detail.connection ?? detail
        log.push({ type, to: one.remoteAddress, code: detail.error?.code, after: detail.after })
      })
    }
    return node.peerId
  },

  /** Listens through a relay and tells where. */
  async listen(relay) {
    const reserved = new Promise((resolve) => {
      node.addEventListener('relay:reserved', resolve, { once: true })
    })
    await node.listen('/webrtc')
    await node.listen(`${relay}/p2p-circuit`)
    await reserved
    const of = (end) => node.addresses.find((one) => one.includes(end))
    return { relayed: of('/p2p-circuit/p2p/'), direct: of('/p2p-circuit/webrtc/p2p/') }
  },

  async dial(address, options) {
    const start = performance.now()
    try {
      connection = await node.dial(address, options)
    } catch (error) {
      return { code: error.attempts?.[0]?.error.code ?? error.code }
    }
    return { remote: connection.remoteAddress, peer: connection.peer, ms: performance.now() - start }
  },

  log: () => log,
  connections: () => node.connections.map(({ remoteAddress }) => remoteAddress),
  latency: (peer) => node.latency(peer),
  keep: (peer, addresses) => node.keep(peer, addresses),

  /** Echoes so many bytes on the best connection to `peer`; the figure is in MiB a second. */
  async echo(peer, length) {
    const stream = await node.dial(peer, ECHO)
    const sent = random(length)
    const start = performance.now()
    const [received] = await Promise.all([
      readAll(stream),
      stream.write(sent).then(() => stream.closeWrite()),
    ])
    const rate = length / (1 << 20) / ((performance.now() - start) / 1000)
    const same = (await digest(received)) === (await digest(sent))
    return { same, rate, over: stream.connection.remoteAddress }
  },

  async sink(peer, length, hundredths) {
    const stream = await node.dial(peer, SINK)
    const bytes = random(length)
    bytes[0] = hundredths
    // The first byte alone, so that the reader stops at it.
    await stream.write(bytes.subarray(0, 1))
    await stream.write(bytes.subarray(1))
    await stream.closeWrite()
    return Number(new TextDecoder().decode(await readAll(stream)))
  },

  async streams(peer, count) {
    let right = 0
    for (let index = 0; index < count; index++) {
      const stream = await node.dial(peer, ECHO)
      await stream.write(new Uint8Array([index]))
      await stream.closeWrite()
      right += (await readAll(stream))[0] === (index & 0xff) ? 1 : 0
    }
    return right
  },

  hangUp: (peer) => node.hangUp(peer),
  close: () => node.close(),

  /** Lends this page's peer connections to the shared worker with a node, and asks it. */
  worker() {
    const { port } = new SharedWorker('/app/dist/shared.js', { type: 'module' })
    const { port1, port2 } = new MessageChannel()
    port.postMessage('lend', [port2])
    lendWebRTC(port1, { iceServers: [] })
    port.onmessage = ({ data: { call, result, error } }) => {
      const { resolve, reject } = calls.get(call)
      calls.delete(call)
      if (error === undefined) resolve(result)
      else reject(new Error(error))
    }
    const calls = new Map()
    globalThis.inWorker = (name, ...args) =>
      new Promise((resolve, reject) => {
        const call = crypto.randomUUID()
        calls.set(call, { resolve, reject })
        port.postMessage({ call, name, args })
      })
  },
}
globalThis.isReady = true
