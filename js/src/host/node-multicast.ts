/** Datagrams to and from the groups of multicast DNS on the networks of this machine. */

import { createSocket, type Socket } from 'node:dgram'
import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os'
import { ListenError } from '../errors.js'
import type { Multicast, MulticastEvents } from '../host.js'

/** How often the networks of this machine are looked at, in milliseconds. */
const LOOK_MS = 10_000
/** Datagrams that wait to be sent; further ones are lost, as they may be on any network. */
const MAX_WAITING = 64
/** The hops of a datagram: whoever is not on the network does not hear it (RFC 6762 section 11). */
const HOPS = 255

/** What IPv4 and IPv6 have each of their own. */
interface Family {
  readonly type: 'udp4' | 'udp6'
  readonly any: string
  readonly group: string
  /** This machine on the network of one of its addresses, as sockets want it; undefined if it is none of these. */
  network(name: string, own: NetworkInterfaceInfo): string | undefined
}

const v4: Family = {
  type: 'udp4',
  any: '0.0.0.0',
  group: '224.0.0.251',
  network: (_, { family, address }) => (family === 'IPv4' ? address : undefined),
}

const v6: Family = {
  type: 'udp6',
  any: '::',
  group: 'ff02::fb',
  network: (name, own) => {
    if (own.family !== 'IPv6') return undefined
    // Windows knows its interfaces by number; only link-local addresses tell it.
    if (process.platform !== 'win32') return `::%${name}`
    return own.scopeid === 0 ? undefined : `::%${own.scopeid}`
  },
}

/** Joins the groups on all networks of this machine, or, if `loopback`, on itself alone. */
export async function multicast(
  port: number,
  loopback: boolean,
  events: MulticastEvents,
): Promise<Multicast> {
  const first = new Networks(await bound(v4, port), v4, loopback)
  // Not every machine has IPv6.
  const second = await bound(v6, first.port).then(
    (socket) => new Networks(socket, v6, loopback),
    () => undefined,
  )
  const both = second === undefined ? [first] : [first, second]
  const look = () => both.map((networks) => networks.look()).includes(true)
  look()
  const timer = setInterval(() => {
    if (look()) events.changed()
  }, LOOK_MS)
  timer.unref()
  for (const networks of both) networks.receive((packet) => events.receive(packet))
  let waiting = 0
  let last: Promise<unknown> = Promise.resolve()
  return {
    port: first.port,
    send(packet) {
      if (waiting >= MAX_WAITING) return
      waiting++
      last = last
        .then(() => Promise.all(both.map((networks) => networks.send(packet))))
        .finally(() => waiting--)
    },
    async close() {
      clearInterval(timer)
      await last
      await Promise.all(both.map((networks) => networks.close()))
    },
  }
}

/** A socket that shares its port with whoever else speaks multicast DNS here. */
async function bound({ type, any }: Family, port: number): Promise<Socket> {
  const socket = createSocket({ type, reuseAddr: true, ipv6Only: type === 'udp6' })
  await new Promise<void>((resolve, reject) => {
    socket.once('error', (error) => {
      socket.close()
      const address = `/${type === 'udp4' ? 'ip4' : 'ip6'}/${any}/udp/${port}`
      reject(new ListenError(address, `cannot hear on ${address}: ${error.message}`, { cause: error }))
    })
    socket.bind(port, any, resolve)
  })
  socket.removeAllListeners('error')
  // Some systems report here what became of what was sent.
  socket.on('error', () => {})
  // Other programs of this machine are neighbours too.
  socket.setMulticastLoopback(true)
  socket.setMulticastTTL(HOPS)
  socket.unref()
  return socket
}

/** The networks whose group a socket belongs to, by what this machine is there. */
class Networks {
  readonly port: number
  readonly #socket: Socket
  readonly #family: Family
  readonly #loopback: boolean
  readonly #joined = new Set<string>()

  constructor(socket: Socket, family: Family, loopback: boolean) {
    this.port = socket.address().port
    this.#socket = socket
    this.#family = family
    this.#loopback = loopback
  }

  receive(receive: (packet: Uint8Array) => void): void {
    this.#socket.on('message', (packet) => receive(packet))
  }

  /** Joins those that are new; whether there are such. */
  look(): boolean {
    const { group, network } = this.#family
    const found = Object.entries(networkInterfaces()).flatMap(([name, all = []]) =>
      all.filter(({ internal }) => internal === this.#loopback).flatMap((own) => network(name, own) ?? []),
    )
    let changed = false
    for (const own of found) {
      if (this.#joined.has(own)) continue
      try {
        this.#socket.addMembership(group, own)
        this.#joined.add(own)
        changed = true
      } catch {
        // Not every interface has multicast.
      }
    }
    for (const own of this.#joined) {
      if (found.includes(own)) continue
      this.#joined.delete(own)
      try {
        this.#socket.dropMembership(group, own)
      } catch {
        // The interface has gone, and its membership with it.
      }
    }
    return changed
  }

  /** Sends on one network after another: a socket has one way out at a time. */
  async send(packet: Uint8Array): Promise<void> {
    for (const own of this.#joined) {
      try {
        this.#socket.setMulticastInterface(own)
      } catch {
        continue
      }
      // A network that is down now may be up when it is said again.
      await new Promise<void>((resolve) => {
        this.#socket.send(packet, this.port, this.#family.group, () => resolve())
      })
    }
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#socket.close(() => resolve()))
  }
}
