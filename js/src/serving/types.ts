/** What a node does for others, and on local networks: what its module can, if it can. */

import type { Records } from '../core.js'
import type { MdnsOptions, RendezvousPointOptions, RendezvousStats } from '../discovery/types.js'
import { UnsupportedError } from '../errors.js'
import type { AutonatOptions, Reachability } from '../reach.js'
import type { RelayServiceOptions, RelayStats } from '../relay.js'

/** What a node can be beside a client. */
export interface Services {
  /** Answers others in the DHT or not: the number of the mode. */
  dhtMode(mode: number): void
  /** Is a relay, or changes what is allowed. */
  relay(options: RelayServiceOptions): void
  relayStats(): RelayStats
  /** Dials for others who want to know whether they can be dialed. */
  autonat(options: AutonatOptions): void
  /** Whether others can dial this node. */
  readonly reachability: Reachability
  /** Is a rendezvous point, or changes what is taken. */
  rendezvousPoint(options: RendezvousPointOptions): void
  rendezvousStats(): RendezvousStats
  /** Looks for neighbours. */
  mdns(options: MdnsOptions): Promise<void>
  /** News of the core for these parts. */
  onPart(kind: number, body: Records): void
  /** The node is closing. */
  close(): Promise<void>
}

const refuse = (what: string) => (): never => {
  throw new UnsupportedError(`${what}: only Node can, and the module of pages does not hold it`)
}

/** The services of a page: none. Whoever asks for one is told so. */
export const noServices: Services = {
  dhtMode: refuse('a server of a DHT'),
  relay: refuse('a relay'),
  relayStats: refuse('a relay'),
  autonat: refuse('AutoNAT for others'),
  reachability: 'unknown',
  rendezvousPoint: refuse('a rendezvous point'),
  rendezvousStats: refuse('a rendezvous point'),
  mdns: refuse('mDNS'),
  onPart() {},
  async close() {},
}
