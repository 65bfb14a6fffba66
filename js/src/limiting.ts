/** Limits, filters, bandwidth and figures of a node that has all its parts. */

import type { Core as FullCore } from '../generated/core.js'
import { type Core, now, Records } from './core.js'
import { InvalidArgumentError } from './errors.js'
import { errorOf } from './failures.js'
import type {
  Allowance,
  Arrivals,
  Bandwidth,
  FilterOptions,
  FilterSubject,
  LimitingOptions,
  Limits,
  NodeFilters,
  NodeStats,
  Rates,
  RatesOf,
  Share,
  Traffic,
} from './limits.js'

/** The order of `core/limiting.rs`. */
const scopes = [
  'system',
  'transient',
  'peer',
  'protocol',
  'protocolPeer',
  'connection',
  'stream',
] as const satisfies readonly (keyof Limits)[]

/** The order of `core/limiting.rs`. */
const resources = [
  'connectionsIn',
  'connectionsOut',
  'connections',
  'streamsIn',
  'streamsOut',
  'streams',
  'memory',
] as const satisfies readonly (keyof Allowance)[]

/** Directions and verdicts as the core has them. */
const BOTH = 0
const directions = { inbound: 1, outbound: 2 } as const
const REMOVE = 0
const ALLOW = 1
const DENY = 2

/** Numbers of hosts as the core has them; a server is the number of its bytes. */
const hosts = { page: -1, node: 0 } as const

/** Sees to what `options` say of limits, filters and bandwidth. */
export function configure(core: Core<FullCore>, options: LimitingOptions): void {
  setLimits(core, options.limits ?? {})
  for (const subject of options.filters?.allow ?? []) filter(core, subject, {}, ALLOW)
  for (const subject of options.filters?.deny ?? []) filter(core, subject, {}, DENY)
  setAllBandwidth(core, options.bandwidth ?? {})
}

function setLimits(core: Core<FullCore>, limits: Limits): void {
  const base = limits.base ?? 'page'
  const numbers = scopes.flatMap((scope) => {
    const allowance: Allowance = limits[scope] ?? {}
    return resources.map((resource) => count(allowance[resource], `limits.${scope}.${resource}`))
  })
  const arrivals: Arrivals = limits.arrivals ?? {}
  numbers.push(
    count(arrivals.handshakesPerAddress, 'limits.arrivals.handshakesPerAddress'),
    ...share(arrivals.address, 'address'),
    ...share(arrivals.site, 'site'),
    arrivals.loopback === true ? 1 : 0,
  )
  const of = typeof base === 'string' ? hosts[base] : count(base.memory, 'limits.base.memory')
  core.raw.set_limits(of, Float64Array.from(numbers))
}

function share(share: Share = {}, name: string): number[] {
  const { connections, burst, interval } = share
  return [
    count(connections, `limits.arrivals.${name}.connections`),
    count(burst, `limits.arrivals.${name}.burst`),
    count(interval, `limits.arrivals.${name}.interval`) / 1000,
  ]
}

/** A number that is zero or more, or NaN for none. */
function count(value: number | undefined, name: string): number {
  if (value === undefined) return Number.NaN
  if (typeof value !== 'number' || !(value >= 0)) throw new InvalidArgumentError(`${name} is to be a number`)
  return value
}

function setAllBandwidth(core: Core<FullCore>, bandwidth: Bandwidth): void {
  const { eachPeer, peers = {}, protocols = {}, ...all } = bandwidth
  setBandwidth(core, all, 'all')
  if (eachPeer !== undefined) setBandwidth(core, eachPeer, 'each-peer')
  for (const [peer, rates] of Object.entries(peers)) setBandwidth(core, rates, { peer })
  for (const [protocol, rates] of Object.entries(protocols)) setBandwidth(core, rates, { protocol })
}

/** Limits bytes a second. */
export function setBandwidth(core: Core<FullCore>, rates: Rates, of: RatesOf): void {
  const rate = (value: number | undefined, name: string): number => {
    const number = count(value, name)
    return Number.isNaN(number) ? Number.POSITIVE_INFINITY : number
  }
  const kinds = { all: 0, 'each-peer': 1 } as const
  const [kind, name] =
    typeof of === 'string' ? [kinds[of], ''] : 'peer' in of ? [2, of.peer] : [3, of.protocol]
  const inbound = rate(rates.inbound, 'inbound')
  const outbound = rate(rates.outbound, 'outbound')
  const result = core.raw.set_bandwidth(kind, name, inbound, outbound)
  if (result < 0) throw errorOf(core.failure(result), name)
}

function filter(
  core: Core<FullCore>,
  subject: FilterSubject,
  { direction }: FilterOptions,
  verdict: number,
): void {
  const way = direction === undefined ? BOTH : directions[direction]
  const result = core.raw.filter(now(), subject, way, verdict)
  if (result < 0) throw errorOf(core.failure(result), subject)
}

/** The filters of the node with this core; `use` has it carry out what follows. */
export function filtersOf(core: Core<FullCore>, use: (act: () => void) => void): NodeFilters {
  const change =
    (verdict: number) =>
    (subject: FilterSubject, options: FilterOptions = {}) =>
      use(() => filter(core, subject, options, verdict))
  return { allow: change(ALLOW), deny: change(DENY), remove: change(REMOVE) }
}

/** What the node does and holds. */
export function stats(core: Core<FullCore>): NodeStats {
  const records = new Records(core.output(core.raw.stats(now())).slice() as Uint8Array<ArrayBuffer>)
  const number = (): number => records.number()
  const traffic = (): Traffic => ({
    bytesIn: number(),
    bytesOut: number(),
    rateIn: number(),
    rateOut: number(),
  })
  const list = <T>(read: () => T): T[] => Array.from({ length: number() }, read)
  // Fields are read in the order in which they stand here.
  return {
    connections: { inbound: number(), outbound: number(), handshaking: number(), dialing: number() },
    streams: { inbound: number(), outbound: number() },
    memory: number(),
    refused: {
      full: number(),
      handshakes: number(),
      denied: number(),
      addressFull: number(),
      tooFast: number(),
    },
    traffic: traffic(),
    protocols: list(() => ({
      protocol: records.text(),
      streamsIn: number(),
      streamsOut: number(),
      ...traffic(),
    })),
    peers: list(() => ({
      peer: records.text(),
      connections: number(),
      streams: number(),
      memory: number(),
      ...traffic(),
    })),
    scopes: list(() => ({
      scope: records.text(),
      resource: records.text(),
      used: number(),
      limit: number(),
      refused: number(),
    })),
  }
}
