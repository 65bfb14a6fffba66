/** Peer connections, as the core wants them: here or in the page that lends them. */

import type { Link } from '../../host.js'

/** What a peer connection is to do next; the numbers are those of `core/webrtc.rs`. */
export const OFFER = 0
export const ANSWER = 1
export const ACCEPT = 2
export const CANDIDATE = 3

/** Servers that tell a peer connection its address outside, as `RTCPeerConnection` has them. */
export interface IceServer {
  readonly urls: string | readonly string[]
  readonly username?: string
  readonly credential?: string
}

/** How peer connections are made. */
export interface IceOptions {
  /**
   * STUN servers, and TURN servers if there are some. Default: two public STUN
   * servers, of Google and Cloudflare; `[]` asks nobody, which does where peers are
   * in one network.
   */
  readonly iceServers?: readonly IceServer[]
}

/** A link of WebRTC direct, and the certificates that its handshake is tied to. */
export interface Direct {
  readonly link: Link
  readonly client: Uint8Array
  readonly server: Uint8Array
}

/** What becomes of peer connections, each under its number. */
export interface RtcEvents {
  /** Its description is made. */
  described(id: number, description: string): void
  /** It found a candidate, as JSON; `null` at their end. */
  found(id: number, candidate: string): void
  /** It is open. */
  connected(id: number, link: Link): void
  /** It found no way. */
  failed(id: number, reason: string): void
}

/** Whoever makes peer connections. */
export interface Rtc {
  /** Tells what becomes of them from now on. */
  start(events: RtcEvents): void
  /** Carries out an order of the core; `text` is a description or a candidate. */
  order(id: number, kind: number, text: string): void
  /** Gives one up that is not connected. */
  drop(id: number): void
  /** Dials an address of WebRTC direct. */
  direct(address: string, signal: AbortSignal): Promise<Direct>
  /** Gives all up. */
  stop(): void
}
