/** Which versions of a protocol are spoken, and which of a remote's are wanted. */

import type { Core as FullCore } from '../../generated/core.js'
import { protocolNames } from '../connection.js'
import type { Core } from '../core.js'
import { InvalidArgumentError } from '../errors.js'
import type { ServiceProtocol } from './types.js'

/** The names to answer to, and a choice among those of a remote, the best first. */
export interface Versions {
  readonly own: readonly string[]
  among(names: readonly string[]): readonly string[]
}

/** @throws {InvalidArgumentError} these are no names, or no versions. */
export function versions(core: Core<FullCore>, protocol: ServiceProtocol): Versions {
  if (typeof protocol === 'string' || isList(protocol)) {
    const own = protocolNames(protocol)
    return { own, among: (names) => own.filter((name) => names.includes(name)) }
  }
  const { name, versions, own } = protocol
  const among = (names: readonly string[]): readonly string[] => {
    const length = core.raw.versions_among(name, versions, own, names.join('\n'))
    if (length < 0) throw new InvalidArgumentError(core.failure(length).message)
    return core.lines(length)
  }
  among([])
  return { own: [`${name}/${own}`], among }
}

function isList(protocol: Exclude<ServiceProtocol, string>): protocol is readonly string[] {
  return Array.isArray(protocol)
}
