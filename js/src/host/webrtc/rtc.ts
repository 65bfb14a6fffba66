/** Peer connections, as the core wants them: here or in the page that lends them. */

import type { Link, Listening } from '../../host.js'
import type { KeyStore } from '../../types.js'

/** What a peer connection is to do next; the numbers are those of `core/webrtc.rs`. */
export const OFFER = 0
export const ANSWER = 1
export const ACCEPT = 2
export const CANDIDATE = 3
/** Offer, or answer, with ICE restarted. */
export const OFFER_AGAIN = 4
export const ANSWER_AGAIN = 5

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

/** What listeners of WebRTC direct are known by: in Node only. */
export interface CertificateOptions {
  /**
   * The certificate and its private key in PEM, from `generateCertificate`. Their hash
   * is part of the addresses. Default: a new one each time.
   */
  readonly certificate?: Uint8Array
  /**
   * Keeps the certificate between runs, and with it the addresses:
   * `fileKeyStore('webrtc.pem')`, a file that `polypeer serve` reads and writes too.
   * Not together with `certificate`.
   */
  readonly certificateStore?: KeyStore
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
  /** It found no way; it is there until it is dropped, as ICE may be restarted. */
  failed(id: number, reason: string): void
}

/** Whoever dials addresses of WebRTC direct. */
export interface DirectRtc {
  /**
   * Dials `address`.
   *
   * @throws {WrongCertificateError} whoever is there is another one; where that can be told.
   * @throws {TimeoutError} nobody answered.
   * @throws {TransportError} no connection came up.
   */
  direct(address: string, signal: AbortSignal): Promise<Direct>
  /** Listens on `address`, where the platform can. */
  listen?(address: string, accept: (direct: Direct) => void): Promise<Listening>
}

/** Whoever makes peer connections. */
export interface Rtc extends DirectRtc {
  /** Tells what becomes of them from now on. */
  start(events: RtcEvents): void
  /** Carries out an order of the core; `text` is a description or a candidate. */
  order(id: number, kind: number, text: string): void
  /** Gives one up that is not connected. */
  drop(id: number): void
  /** Gives all up. */
  stop(): void
}
