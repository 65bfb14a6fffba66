/** What is known of peers, and where it is kept between runs. */

import type { Multiaddr, PeerId } from '../types.js'

/** From where an address of a peer is known; of several sources the strongest, named last here. */
export type AddressSource = 'discovery' | 'identify' | 'dialed' | 'certified' | 'application'

/** One address of a peer. */
export interface StoredAddress {
  /** The address, without the peer's own `/p2p` at its end. */
  readonly address: Multiaddr
  /** From where it is known. */
  readonly source: AddressSource
  /** When it is forgotten, in milliseconds of Unix time; `undefined` is never. */
  readonly expires: number | undefined
  /** When a dial found the peer there last, in milliseconds of Unix time. */
  readonly succeeded: number | undefined
  /** Failed dials since then. */
  readonly failures: number
}

/** What the application says a peer is worth. */
export interface PeerTag {
  /** From 0 on; the sum of a peer's tags counts when room is made. */
  readonly value: number
  /** When the tag is gone, in milliseconds of Unix time; `undefined` is never. */
  readonly expires?: number | undefined
}

/** What is known of one peer. */
export interface StoredPeer {
  /** Who it is. */
  readonly peer: PeerId
  /** Where it can be reached, at most 32 addresses. */
  readonly addresses: readonly StoredAddress[]
  /** The program it runs, in its own words. */
  readonly agent: string
  /** The protocols that it takes streams for. */
  readonly protocols: readonly string[]
  /** Its public key in libp2p's protobuf encoding, if it is known. */
  readonly publicKey: Uint8Array | undefined
  /** What the application noted, by name. */
  readonly metadata: Readonly<Record<string, Uint8Array>>
  /** What the application says it is worth, by name. */
  readonly tags: Readonly<Record<string, PeerTag>>
  /** When there was a connection last, in milliseconds of Unix time. */
  readonly lastSeen: number | undefined
  /** Connections that came about. */
  readonly successes: number
  /** Dials that failed since then. */
  readonly failures: number
  /** Connections that lasted for ten minutes. */
  readonly stableSessions: number
  /** How long there was a connection, in milliseconds, all in all. */
  readonly connectedMillis: number
}

/** What is to change of a peer; what is left out stays. */
export interface PeerPatch {
  /** In place of all addresses that the application gave before. */
  readonly addresses?: readonly Multiaddr[]
  /** Notes by name, 16 KiB a peer; `undefined` deletes one. */
  readonly metadata?: Readonly<Record<string, Uint8Array | undefined>>
  /** Tags by name; `undefined` deletes one. */
  readonly tags?: Readonly<Record<string, PeerTag | undefined>>
}

/** What a node knows of peers. */
export interface PeerStore {
  /** What is known of `peer`. */
  get(peer: PeerId): StoredPeer | undefined
  /** What is known of everybody. */
  all(): StoredPeer[]
  /**
   * Changes what the application knows of `peer`, who need not be known.
   *
   * @throws {LimitError} that is more than a peer may have; nothing is changed.
   * @throws {InvalidAddressError} an address cannot be read or is another peer's.
   * @example
   * ```ts
   * node.peerStore.patch(peer, { metadata: { name: new TextEncoder().encode('Ann') } })
   * ```
   */
  patch(peer: PeerId, patch: PeerPatch): void
  /**
   * Where `peer` says it can be reached, in the envelope that it signed (libp2p RFC 0002
   * and 0003), to be handed on to others; `undefined` if nothing good is known. Of this
   * node itself it is made now.
   *
   * @throws {InvalidAddressError} `peer` is no PeerId.
   */
  signedRecord(peer: PeerId): Uint8Array | undefined
  /**
   * Takes a record that another handed on: the addresses in it are known for `ttl`
   * milliseconds (an hour by default, a day at most) unless its peer is met. Tells whose
   * it is.
   *
   * @throws {ProtocolError} the envelope, its signature or the record in it is not good.
   * @example
   * ```ts
   * const record = node.peerStore.signedRecord(friend)
   * // … over any stream, at another node:
   * if (record !== undefined) await node.dial(node.peerStore.accept(record))
   * ```
   */
  accept(record: Uint8Array, options?: { readonly ttl?: number }): PeerId
  /** Forgets `peer`; whether anything was known. */
  delete(peer: PeerId): boolean
}

/** One write: what stands under `key` from now on; `undefined` deletes. */
export interface StoreChange {
  readonly key: Uint8Array
  readonly value: Uint8Array | undefined
}

/** Where a peer store is kept between runs: a file, a database. */
export interface PeerStorage {
  /** Opens it and reads everything that stands there; called once, first. */
  load(): Promise<(readonly [key: Uint8Array, value: Uint8Array])[]>
  /**
   * Makes all of these changes or none. The next call comes when this one is done, but
   * when a page is hidden: then at once, and is to be carried out after this one.
   */
  write(changes: readonly StoreChange[]): Promise<void>
  /** Closes it; called once, last. */
  close(): Promise<void>
}
