// What the tests share: nodes on loopback, protocols, bytes.
import { createHash, randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { connect, createServer } from 'node:net'
import { createNode } from 'polypeer'

export const ECHO = '/echo/1.0.0'
export const HALF_CLOSE = '/test/half-close/1.0.0'
export const RESET = '/test/reset/1.0.0'
export const MIB = 1024 * 1024

/** The transports of Node, as the addresses to listen on. */
export const transports = { TCP: '/ip4/127.0.0.1/tcp/0', WebSocket: '/ip4/127.0.0.1/tcp/0/ws' }

/** A node that listens and answers the test protocols. */
export async function server(listen = Object.values(transports)) {
  const node = await createNode({ listen })
  node.handle(ECHO, async (stream) => {
    for await (const bytes of stream) await stream.write(bytes)
    await stream.close()
  })
  node.handle(HALF_CLOSE, async (stream) => {
    const hash = createHash('sha256')
    for await (const bytes of stream) hash.update(bytes)
    await stream.write(hash.digest())
    await stream.close()
  })
  node.handle(RESET, async (stream) => {
    await stream.read()
    stream.abort()
  })
  return node
}

/** A server and a node connected to it over the transport whose listen address is given. */
export async function pair(t, listen = transports.TCP) {
  const there = await kept(t, server([listen]))
  const here = await kept(t, createNode())
  const connection = await here.dial(there.addresses)
  return { here, there, connection }
}

/** The node, closed when the test ends. */
export async function kept(t, making) {
  const node = await making
  t.after(() => node.close())
  return node
}

export function sha256(bytes) {
  return createHash('sha256').update(bytes).digest('hex')
}

/** All that comes until the remote has finished. */
export async function readAll(stream) {
  const parts = []
  for await (const bytes of stream) parts.push(bytes)
  return Buffer.concat(parts)
}

export const random = (length) => new Uint8Array(randomBytes(length))

/** Resolves when `target` has sent `count` events of this type. */
export function events(target, type, count = 1) {
  return new Promise((resolve) => {
    const seen = []
    target.addEventListener(type, function listen({ detail }) {
      seen.push(detail)
      if (seen.length < count) return
      target.removeEventListener(type, listen)
      resolve(seen)
    })
  })
}

/**
 * A way to a port of this machine that can be cut, or go silent: what comes in
 * over it after that is new and goes through.
 */
export async function gate(t, port) {
  const sockets = new Set()
  const listener = createServer((near) => {
    const far = connect(port, '127.0.0.1')
    for (const [from, to] of [
      [near, far],
      [far, near],
    ]) {
      sockets.add(from)
      from.on('error', () => {}).pipe(to)
      from.on('close', () => {
        sockets.delete(from)
        to.destroy()
      })
    }
  })
  await new Promise((resolve) => listener.listen(0, '127.0.0.1', resolve))
  const cut = () => {
    for (const socket of sockets) socket.destroy()
  }
  t.after(() => {
    cut()
    listener.close()
  })
  return {
    port: listener.address().port,
    cut,
    mute() {
      for (const socket of sockets) socket.unpipe().pause()
    },
  }
}

/** The port that an address of WebRTC direct names. */
export const portOf = (address) => Number(address.split('/')[4])

/** The address of WebRTC direct, at another port. */
export const withPort = (address, port) => address.replace(/udp\/\d+/, `udp/${port}`)

/** Between those who dial it and the port `to`: lets through what `passes`. */
export async function between(t, to, passes) {
  const near = createSocket('udp4')
  const fars = new Map()
  near.on('message', (datagram, { address, port }) => {
    if (!passes(datagram)) return
    let far = fars.get(port)
    if (far === undefined) {
      far = createSocket('udp4')
      far.on('message', (answer) => near.send(answer, port, address))
      fars.set(port, far)
    }
    far.send(datagram, to, '127.0.0.1')
  })
  await new Promise((resolve) => near.bind(0, '127.0.0.1', resolve))
  t.after(() => {
    near.close()
    for (const far of fars.values()) far.close()
  })
  return near.address().port
}

/** Lets `ms` milliseconds of the event loop pass. */
export const turns = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/** Resolves once `condition` holds; the test's own time limit is the bound. */
export async function until(condition) {
  while (!condition()) await turns(5)
}
