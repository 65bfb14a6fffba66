/** The core's failures as the errors of this package. */

import type { CoreEvent, FailedAttempt, Failure } from './core.js'
import {
  ConnectionClosedError,
  DeniedError,
  DialError,
  InvalidAddressError,
  LimitError,
  type PolypeerError,
  ProtocolError,
  ProtocolNotSupportedError,
  StreamResetError,
  TimeoutError,
  TransportError,
  WrongPeerError,
} from './errors.js'

/** What a failure is to be called; `subject` is the address or protocols that it is about. */
export function errorOf(
  { cause, message }: Failure,
  subject: string | readonly string[] = '',
): PolypeerError {
  switch (cause) {
    case 'timeout':
      return new TimeoutError(message)
    case 'wrong-peer':
      return new WrongPeerError(message)
    case 'protocol':
      return new ProtocolError(message)
    case 'not-supported':
      return new ProtocolNotSupportedError(typeof subject === 'string' ? [subject] : subject)
    case 'reset':
      return new StreamResetError(message)
    case 'limit':
      return new LimitError(message)
    case 'address':
      return new InvalidAddressError(String(subject), message)
    case 'closed':
    case 'cancelled':
      return new ConnectionClosedError(message)
    case 'denied':
      return new DeniedError(message)
    case 'transport':
      return new TransportError(message)
  }
}

/** Why a connection ended, if something was wrong. */
export function endOf(failure: Failure): PolypeerError | undefined {
  return failure.cause === 'closed' ? undefined : errorOf(failure)
}

/** A dial's failure, each attempt with the error that the host kept of it, if it did. */
export function dialErrorOf(
  { failure, attempts }: Extract<CoreEvent, { type: 'dial-failed' }>,
  kept: ReadonlyMap<string, PolypeerError>,
): PolypeerError {
  if (failure.cause === 'denied') return errorOf(failure)
  const list = attempts.map((attempt: FailedAttempt) => ({
    address: attempt.address,
    error: kept.get(attempt.address) ?? errorOf(attempt, attempt.address),
  }))
  const causes = list.map(({ address, error }) => `${address}: ${error.message}`)
  return new DialError([failure.message, ...causes].join('\n  '), list)
}
