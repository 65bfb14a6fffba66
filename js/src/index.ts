/**
 * Polypeer: a libp2p peer in a page, in a worker and in Node.
 *
 * @example
 * ```ts
 * import { createNode } from 'polypeer'
 *
 * const node = await createNode()
 * await using stream = await node.dial('/ip4/127.0.0.1/tcp/4001/ws/p2p/12D3KooW…', '/echo/1.0.0')
 * await stream.write(new TextEncoder().encode('hello'))
 * console.log(await stream.read())
 * ```
 *
 * @packageDocumentation
 */

export type { AbortOptions } from './abort.js'
export type * from './dht/types.js'
export type { DhtValidator } from './dht/validators.js'
export * from './errors.js'
export type { EventMap, Listener, TypedEventTarget } from './events.js'
export type { CertificateOptions, IceOptions, IceServer } from './host/webrtc/rtc.js'
export { indexedDbKeyStore } from './keys/indexeddb.js'
export type * from './limits.js'
export type * from './pubsub/types.js'
export type {
  AddressOptions,
  AutonatOptions,
  OwnAddress,
  OwnAddressSource,
  Reachability,
  ReachEvents,
} from './reach.js'
export type {
  RelayEvents,
  RelayLimit,
  RelayPair,
  RelayRates,
  RelayRule,
  RelayServiceOptions,
  RelayStats,
  RelayUse,
} from './relay.js'
export type * from './types.js'
export type { WebRtcEvents, WebRtcOptions } from './webrtc.js'
