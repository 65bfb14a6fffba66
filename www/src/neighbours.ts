/** The other pages: found in the room, reached through the server, and then directly. */

import type { Connection, Multiaddr, PeerId, PeerNode } from 'polypeer'

/** Others that this page keeps a connection to. */
export const MAX_NEIGHBOURS = 8
/** How often the round trip to each is measured, in milliseconds. */
const PING_EVERY_MS = 4_000
/** How long an answer to a ping may take, in milliseconds. */
const PING_MS = 5_000

/** How another page is reached. */
export type Path = 'connecting' | 'relayed' | 'direct'

/** Another page. */
export interface Neighbour {
  readonly peer: PeerId
  readonly path: Path
  /** The last round trip in milliseconds, on the present path. */
  readonly ms: number | undefined
}

export class Neighbours {
  readonly #node: PeerNode
  readonly #changed: (all: readonly Neighbour[]) => void
  /** Those that this page keeps, and those that keep it. */
  readonly #known = new Map<PeerId, { path: Path; ms: number | undefined }>()
  readonly #kept = new Set<PeerId>()
  /** Whom the room has told of: nobody else is a neighbour, and the server is none. */
  #met = new Set<PeerId>()

  /** Calls `changed` with all there are whenever something of one is new. */
  constructor(node: PeerNode, changed: (all: readonly Neighbour[]) => void) {
    this.#node = node
    this.#changed = changed
    for (const event of ['connection:open', 'connection:close', 'peer:path'] as const)
      node.addEventListener(event, ({ detail }) => this.#look(detail.peer))
    setInterval(() => {
      for (const peer of this.#known.keys()) void this.#measure(peer)
    }, PING_EVERY_MS)
  }

  /** All there are, the longest known first. */
  get all(): readonly Neighbour[] {
    return [...this.#known].map(([peer, { path, ms }]) => ({ peer, path, ms }))
  }

  /** The best connection to a neighbour, if there is one. */
  connection(peer: PeerId): Connection | undefined {
    const open = this.#node.connections.filter((one) => one.peer === peer && one.status === 'open')
    return open.find((one) => one.direct) ?? open[0]
  }

  /**
   * Who is in the room of the server at `relay`, the newest first. A newcomer goes
   * to those who are there already, and so no two go to each other.
   */
  meet(relay: Multiaddr, present: readonly PeerId[]): void {
    const gone = [...this.#met].filter((peer) => !present.includes(peer))
    this.#met = new Set([...present, ...gone.filter((peer) => this.connection(peer) !== undefined)])
    this.#met.delete(this.#node.peerId)
    const self = present.indexOf(this.#node.peerId)
    const older = self < 0 ? [] : present.slice(self + 1, self + 1 + MAX_NEIGHBOURS)
    for (const peer of this.#kept) {
      if (present.includes(peer)) continue
      // A connection that is there stays: the room may be gone, and the other not.
      this.#node.release(peer)
      this.#kept.delete(peer)
      this.#look(peer)
    }
    for (const peer of older) {
      if (this.#kept.has(peer) || this.#kept.size >= MAX_NEIGHBOURS) continue
      this.#kept.add(peer)
      this.#node.keep(peer, [`${relay}/p2p-circuit/p2p/${peer}`])
    }
    for (const peer of this.#met) this.#look(peer)
  }

  #look(peer: PeerId): void {
    if (!this.#met.has(peer)) return
    const connection = this.connection(peer)
    const known = this.#known.get(peer)
    if (connection === undefined && !this.#kept.has(peer)) {
      if (!this.#known.delete(peer)) return
    } else {
      const path = connection === undefined ? 'connecting' : connection.direct ? 'direct' : 'relayed'
      if (known?.path === path) return
      this.#known.set(peer, { path, ms: undefined })
      void this.#measure(peer)
    }
    this.#changed(this.all)
  }

  async #measure(peer: PeerId): Promise<void> {
    const connection = this.connection(peer)
    if (connection === undefined) return
    try {
      const ms = await connection.ping({ signal: AbortSignal.timeout(PING_MS) })
      const known = this.#known.get(peer)
      if (known === undefined || this.connection(peer) !== connection) return
      known.ms = ms
    } catch {
      // Its connection will say so itself if it is dead.
      return
    }
    this.#changed(this.all)
  }
}
