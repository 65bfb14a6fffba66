/** Peers of topics: where they are looked for, and who is found. */

import type { Core as FullCore } from '../../generated/core.js'
import { type Core, now, type Records } from '../core.js'
import { InvalidArgumentError } from '../errors.js'
import { errorOf } from '../failures.js'
import type { Discovered, PubsubPeerDiscoveryOptions, TopicDiscoveryOptions } from './types.js'

/** In the order of the core's numbers, each with how long it is believed, in milliseconds. */
const SOURCES = [
  ['dht', 600_000],
  ['rendezvous', 600_000],
  ['pubsub', 60_000],
] as const

/** Looks for the peers of topics as `options` say; `false`: for nobody's. */
export function setTopicDiscovery(core: Core<FullCore>, options: boolean | TopicDiscoveryOptions): void {
  const on = options !== false
  const { dht = on, points = [], announce = on } = typeof options === 'boolean' ? {} : options
  const result = core.raw.set_topic_discovery(now(), dht, points.join('\n'), announce)
  if (result < 0) throw errorOf(core.failure(result), points)
}

/** Announces the node in topics for that, and hears of others. */
export function startPeerDiscovery(core: Core<FullCore>, options: PubsubPeerDiscoveryOptions): void {
  const { topics = [], interval = -1, listenOnly = false } = options
  if (interval !== -1 && !(Number.isFinite(interval) && interval >= 1000)) {
    throw new InvalidArgumentError(`not an interval of 1,000 ms or more: ${interval}`)
  }
  const result = core.raw.start_peer_discovery(now(), topics.join('\n'), interval, listenOnly)
  if (result < 0) throw new InvalidArgumentError(core.failure(result).message)
}

/** Somebody who was found for a topic; see `core/topics.rs`. */
export function readTopicPeer(body: Records): Discovered | undefined {
  const [topic, peer, addresses] = [body.text(), body.text(), body.lines()]
  const source = SOURCES[body.byte()]
  return source && { peer, addresses, source: source[0], topic, ttl: source[1] }
}
