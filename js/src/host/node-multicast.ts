/** Datagrams to and from a group on the networks of this machine, over IPv4. */

import { createSocket, type Socket } from 'node:dgram'
import { networkInterfaces } from 'node:os'
import { ListenError } from '../errors.js'
import type { Multicast, MulticastEvents } from '../host.js'

/** How often the networks of this machine are looked at, in milliseconds. */
const LOOK_MS = 10_000
/** Datagrams that wait to be sent; further ones are lost, as they may be on any network. */
const MAX_WAITING = 64

/** Joins `group` on all networks of this machine, or, if `loopback`, on itself alone. */
export async function multicast(
  group: string,
  port: number,
  loopback: boolean,
  events: MulticastEvents,
): Promise<Multicast> {
  const socket = createSocket({ type: 'udp4', reuseAddr: true })
  await new Promise<void>((resolve, reject) => {
    socket.once('error', (error) => {
      socket.close()
      const address = `/ip4/0.0.0.0/udp/${port}`
      reject(new ListenError(address, `cannot hear on ${address}: ${error.message}`, { cause: error }))
    })
    socket.bind(port, '0.0.0.0', resolve)
  })
  socket.removeAllListeners('error')
  // Some systems report here what became of what was sent.
  socket.on('error', () => {})
  // Other programs of this machine are neighbours too.
  socket.setMulticastLoopback(true)
  // RFC 6762 section 11.
  socket.setMulticastTTL(255)
  const joined = new Networks(socket, group, loopback)
  joined.look()
  const timer = setInterval(() => {
    if (joined.look()) events.changed()
  }, LOOK_MS)
  timer.unref()
  socket.unref()
  socket.on('message', (packet) => events.receive(packet))
  let waiting = 0
  let last: Promise<void> = Promise.resolve()
  return {
    port: socket.address().port,
    send(packet) {
      if (waiting >= MAX_WAITING) return
      waiting++
      last = last.then(() => joined.send(packet, socket.address().port)).finally(() => waiting--)
    },
    async close() {
      clearInterval(timer)
      await last
      await new Promise<void>((resolve) => socket.close(() => resolve()))
    },
  }
}

/** The networks whose group a socket belongs to, by this machine's address there. */
class Networks {
  readonly #socket: Socket
  readonly #group: string
  readonly #loopback: boolean
  readonly #joined = new Set<string>()

  constructor(socket: Socket, group: string, loopback: boolean) {
    this.#socket = socket
    this.#group = group
    this.#loopback = loopback
  }

  /** Joins those that are new; whether there are such. */
  look(): boolean {
    const found = Object.values(networkInterfaces())
      .flatMap((own) => own ?? [])
      .filter(({ family, internal }) => family === 'IPv4' && internal === this.#loopback)
      .map(({ address }) => address)
    let changed = false
    for (const address of found) {
      if (this.#joined.has(address)) continue
      try {
        this.#socket.addMembership(this.#group, address)
        this.#joined.add(address)
        changed = true
      } catch {
        // Not every interface has multicast.
      }
    }
    for (const address of this.#joined) {
      if (found.includes(address)) continue
      this.#joined.delete(address)
      try {
        this.#socket.dropMembership(this.#group, address)
      } catch {
        // The interface has gone, and its membership with it.
      }
    }
    return changed
  }

  /** Sends on one network after another: a socket has one way out at a time. */
  async send(packet: Uint8Array, port: number): Promise<void> {
    for (const address of this.#joined) {
      try {
        this.#socket.setMulticastInterface(address)
      } catch {
        continue
      }
      // A network that is down now may be up when it is said again.
      await new Promise<void>((resolve) => this.#socket.send(packet, port, this.#group, () => resolve()))
    }
  }
}
