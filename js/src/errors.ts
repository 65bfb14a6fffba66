/**
 * What can go wrong, a class per cause. `code` is stable and made for
 * programs; `message` is made for people and may change.
 */

import type { RelayLimit } from './relay.js'

/** Every `code` that a {@link PolypeerError} can carry. */
export type ErrorCode =
  | 'ERR_ADDRESS'
  | 'ERR_CLOSED'
  | 'ERR_CONNECTION_CLOSED'
  | 'ERR_DIAL'
  | 'ERR_INVALID_ARGUMENT'
  | 'ERR_KEY'
  | 'ERR_DENIED'
  | 'ERR_LIMIT'
  | 'ERR_LIMITED_CONNECTION'
  | 'ERR_LISTEN'
  | 'ERR_LOAD'
  | 'ERR_PEER_STORE'
  | 'ERR_RECORD_STORE'
  | 'ERR_PROTOCOL'
  | 'ERR_PROTOCOL_NOT_SUPPORTED'
  | 'ERR_RECORD'
  | 'ERR_RELAY_LIMIT'
  | 'ERR_RENDEZVOUS'
  | 'ERR_ROUTING'
  | 'ERR_STREAM_CLOSED'
  | 'ERR_STREAM_RESET'
  | 'ERR_TIMEOUT'
  | 'ERR_TRANSPORT'
  | 'ERR_UNSUPPORTED'
  | 'ERR_WRONG_CERTIFICATE'
  | 'ERR_WRONG_PEER'

/**
 * The base of every error that this package makes. A call that was given an
 * aborted `signal` rejects with the signal's own `reason` instead.
 *
 * @example
 * ```ts
 * try {
 *   await node.dial(address)
 * } catch (error) {
 *   if (error instanceof PolypeerError && error.code === 'ERR_DIAL') retryLater()
 *   else throw error
 * }
 * ```
 */
export class PolypeerError extends Error {
  override name = 'PolypeerError'
  /** Which cause this is; never changes between versions. */
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** An address or PeerId that cannot be read. The message says where and why. */
export class InvalidAddressError extends PolypeerError {
  override name = 'InvalidAddressError'
  /** What was given. */
  readonly address: string

  constructor(address: string, message: string) {
    super('ERR_ADDRESS', message)
    this.address = address
  }
}

/** An argument of the wrong kind, such as a protocol name with a line break. */
export class InvalidArgumentError extends PolypeerError {
  override name = 'InvalidArgumentError'

  constructor(message: string) {
    super('ERR_INVALID_ARGUMENT', message)
  }
}

/** A private key that cannot be read, or a key store that cannot be used. */
export class KeyError extends PolypeerError {
  override name = 'KeyError'

  constructor(message: string, options?: ErrorOptions) {
    super('ERR_KEY', message, options)
  }
}

/** The storage of a peer store cannot be read or written: a full disk, a forbidden database. */
export class PeerStoreError extends PolypeerError {
  override name = 'PeerStoreError'

  constructor(message: string, options?: ErrorOptions) {
    super('ERR_PEER_STORE', message, options)
  }
}

/** The WebAssembly module could not be loaded. `cause` has the reason. */
export class LoadError extends PolypeerError {
  override name = 'LoadError'

  constructor(message: string, options?: ErrorOptions) {
    super('ERR_LOAD', message, options)
  }
}

/** One address that was tried, and why it did not do. */
export interface DialAttempt {
  /** The address, as a multiaddr. */
  readonly address: string
  /** Why there is no connection to it. */
  readonly error: PolypeerError
}

/**
 * No address led to the peer. {@link DialError.attempts} lists each one with
 * its cause.
 *
 * @example
 * ```ts
 * for (const { address, error } of dialError.attempts) console.warn(address, error.code)
 * ```
 */
export class DialError extends PolypeerError {
  override name = 'DialError'
  /** Every address that was tried, in that order. */
  readonly attempts: readonly DialAttempt[]

  constructor(message: string, attempts: readonly DialAttempt[] = []) {
    super('ERR_DIAL', message, attempts.length > 0 ? { cause: attempts[0]?.error } : undefined)
    this.attempts = attempts
  }
}

/** This platform cannot dial or listen on that kind of address. */
export class UnsupportedError extends PolypeerError {
  override name = 'UnsupportedError'

  constructor(message: string) {
    super('ERR_UNSUPPORTED', message)
  }
}

/** The address could not be listened on. */
export class ListenError extends PolypeerError {
  override name = 'ListenError'
  /** The address, as it was asked for. */
  readonly address: string

  constructor(address: string, message: string, options?: ErrorOptions) {
    super('ERR_LISTEN', message, options)
    this.address = address
  }
}

/** The socket failed, or could not be opened. */
export class TransportError extends PolypeerError {
  override name = 'TransportError'

  constructor(message: string, options?: ErrorOptions) {
    super('ERR_TRANSPORT', message, options)
  }
}

/**
 * Whoever answered has another certificate than the `/certhash` of the address says. Pages
 * cannot tell this from other failures.
 */
export class WrongCertificateError extends PolypeerError {
  override name = 'WrongCertificateError'

  constructor(message: string) {
    super('ERR_WRONG_CERTIFICATE', message)
  }
}

/** Whoever answered proved to be another peer than the one asked for. */
export class WrongPeerError extends PolypeerError {
  override name = 'WrongPeerError'

  constructor(message: string) {
    super('ERR_WRONG_PEER', message)
  }
}

/** The remote broke the rules of a wire protocol. */
export class ProtocolError extends PolypeerError {
  override name = 'ProtocolError'

  constructor(message: string) {
    super('ERR_PROTOCOL', message)
  }
}

/** The remote speaks none of the protocols asked for. */
export class ProtocolNotSupportedError extends PolypeerError {
  override name = 'ProtocolNotSupportedError'
  /** What was asked for. */
  readonly protocols: readonly string[]

  constructor(protocols: readonly string[]) {
    super('ERR_PROTOCOL_NOT_SUPPORTED', `the remote does not speak ${protocols.join(', ')}`)
    this.protocols = protocols
  }
}

/** The stream ended abruptly: one side gave it up. */
export class StreamResetError extends PolypeerError {
  override name = 'StreamResetError'

  constructor(message = 'the remote reset the stream', options?: ErrorOptions) {
    super('ERR_STREAM_RESET', message, options)
  }
}

/** The stream was closed by this side, so it takes no more calls. */
export class StreamClosedError extends PolypeerError {
  override name = 'StreamClosedError'

  constructor(message = 'the stream is closed') {
    super('ERR_STREAM_CLOSED', message)
  }
}

/** The connection is closed; its streams ended with it. */
export class ConnectionClosedError extends PolypeerError {
  override name = 'ConnectionClosedError'

  constructor(message = 'the connection is closed', options?: ErrorOptions) {
    super('ERR_CONNECTION_CLOSED', message, options)
  }
}

/** The node was closed. */
export class NodeClosedError extends PolypeerError {
  override name = 'NodeClosedError'

  constructor() {
    super('ERR_CLOSED', 'the node is closed')
  }
}

/** The remote did not answer in time. */
export class TimeoutError extends PolypeerError {
  override name = 'TimeoutError'

  constructor(message = 'the remote did not answer in time') {
    super('ERR_TIMEOUT', message)
  }
}

/** The filters of this node deny the peer or the address. */
export class DeniedError extends PolypeerError {
  override name = 'DeniedError'

  constructor(message: string) {
    super('ERR_DENIED', message)
  }
}

/** A limit of this node or of the remote is reached. */
export class LimitError extends PolypeerError {
  override name = 'LimitError'

  constructor(message: string) {
    super('ERR_LIMIT', message)
  }
}

/**
 * A relay limits the connection, and the protocol was not said to do with that:
 * open the stream with `limited: true`, or wait for a direct connection.
 */
export class LimitedConnectionError extends PolypeerError {
  override name = 'LimitedConnectionError'

  constructor() {
    super('ERR_LIMITED_CONNECTION', 'a relay limits the connection, and `limited` is not set')
  }
}

/** The connection came to what its relay allows; dialing again makes a new one. */
export class RelayLimitError extends PolypeerError {
  override name = 'RelayLimitError'
  /** What the relay allowed, and what was used. */
  readonly limit: RelayLimit

  constructor(limit: RelayLimit) {
    const { duration, sent, received } = limit.used
    const used = `${Math.round(duration / 1000)} s, ${sent} bytes sent and ${received} received`
    super('ERR_RELAY_LIMIT', `the relay's limit for the connection is reached: ${used}`)
    this.limit = limit
  }
}
