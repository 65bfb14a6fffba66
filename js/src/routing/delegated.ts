/**
 * Delegated routing over HTTP: a server asks the DHT for those that it is too heavy for.
 * Source: IPFS specs, "Delegated Routing V1 HTTP API".
 */

import type { AbortOptions } from '../abort.js'
import { InvalidArgumentError } from '../errors.js'
import type { PeerId } from '../types.js'
import { cidOf, peerCid } from './names.js'
import { type Content, type RecordRouting, type RoutedPeer, RoutingError } from './types.js'

const NDJSON = 'application/x-ndjson'
const IPNS_RECORD = 'application/vnd.ipfs.ipns-record'
/** The longest line and the longest JSON that is read, in bytes: a hundred peers with many addresses. */
const MAX_JSON = 4 << 20
/** The longest record in bytes, by the specification of IPNS. */
const MAX_RECORD = 10 << 10

/** How a routing service is asked. */
export interface DelegatedRoutingOptions {
  /** In place of the global `fetch`. */
  readonly fetch?: typeof globalThis.fetch | undefined
  /** How long a service may take for an answer, in milliseconds; 30 s. */
  readonly timeout?: number | undefined
  /**
   * Names of which an address has one, such as `webrtc-direct` and `ws`, or none if they
   * begin with `!`; `unknown` for peers without addresses too. Others are left out
   * (IPIP-484).
   */
  readonly filterAddrs?: readonly string[] | undefined
  /** Transfer protocols of which a peer speaks one; `unknown` for those of whom it is not known. */
  readonly filterProtocols?: readonly string[] | undefined
}

/** A routing service (`/routing/v1`), such as `polypeer serve --routing` or a public one. */
export interface DelegatedRouting extends RecordRouting {
  /**
   * Those who provide `content` (a CID of any version), as they are found.
   *
   * @throws {RoutingError} the service did not answer, or not as it should.
   */
  findProviders(content: Content, options?: AbortOptions): AsyncGenerator<RoutedPeer, void, undefined>
  /**
   * Where `peer` is; `undefined` if that is not known.
   *
   * @throws {RoutingError} the service did not answer, or not as it should.
   */
  findPeer(peer: PeerId, options?: AbortOptions): Promise<RoutedPeer | undefined>
  /**
   * The peers of the DHT that are nearest to content or to a peer, the nearest first; not
   * every service tells.
   *
   * @throws {RoutingError} the service did not answer, or not as it should.
   */
  closestPeers(key: Content | PeerId, options?: AbortOptions): AsyncGenerator<RoutedPeer, void, undefined>
}

/**
 * The routing service at `url`, which is `https://…` without `/routing/v1`.
 *
 * @throws {InvalidArgumentError} that is no such address.
 * @example
 * ```ts
 * const routing = delegatedRouting('https://routing.example')
 * for await (const { peer, addresses } of routing.findProviders(cid)) {
 *   await node.dial(addresses.map((address) => `${address}/p2p/${peer}`))
 * }
 * const record = await node.ipns.resolve(name, { routing })
 * ```
 */
export function delegatedRouting(url: string, options: DelegatedRoutingOptions = {}): DelegatedRouting {
  const base = URL.canParse(url) ? new URL(url) : undefined
  if (base?.protocol !== 'https:' && base?.protocol !== 'http:') {
    throw new InvalidArgumentError(`not the address of a routing service: ${url}`)
  }
  return new Client(base, options)
}

class Client implements DelegatedRouting {
  readonly #base: URL
  readonly #fetch: typeof globalThis.fetch
  readonly #timeout: number
  /** The query that filters what is asked for. */
  readonly #filters: string

  constructor(base: URL, options: DelegatedRoutingOptions) {
    const { fetch, timeout = 30_000, filterAddrs = [], filterProtocols = [] } = options
    this.#base = base
    const filters = { 'filter-addrs': filterAddrs, 'filter-protocols': filterProtocols }
    const set = Object.entries(filters).filter(([, names]) => names.length > 0)
    this.#filters = set.map(([name, names]) => `${name}=${names.map(encodeURIComponent).join(',')}`).join('&')
    this.#fetch = fetch ?? globalThis.fetch.bind(globalThis)
    this.#timeout = timeout
  }

  async *findProviders(
    content: Content,
    options?: AbortOptions,
  ): AsyncGenerator<RoutedPeer, void, undefined> {
    yield* this.#peers(`providers/${encodeURIComponent(cidOf(content))}`, 'Providers', options)
  }

  async findPeer(peer: PeerId, options?: AbortOptions): Promise<RoutedPeer | undefined> {
    for await (const found of this.#peers(`peers/${peerCid(peer)}`, 'Peers', options)) {
      if (found.peer === peer || peerCid(found.peer) === peerCid(peer)) return found
    }
    return undefined
  }

  async *closestPeers(
    key: Content | PeerId,
    options?: AbortOptions,
  ): AsyncGenerator<RoutedPeer, void, undefined> {
    const isPeer = typeof key === 'string' && key.startsWith('1')
    const name = isPeer ? peerCid(key) : encodeURIComponent(cidOf(key))
    yield* this.#peers(`dht/closest/peers/${name}`, 'Peers', options)
  }

  async getIpns(name: PeerId, options?: AbortOptions): Promise<Uint8Array | undefined> {
    const answer = await this.#ask(`ipns/${peerCid(name)}`, { headers: { accept: IPNS_RECORD } }, options)
    // Some say that there is none by its absence, some in words.
    if (answer === undefined || !isOf(answer, IPNS_RECORD)) return undefined
    return whole(answer, MAX_RECORD)
  }

  async putIpns(name: PeerId, record: Uint8Array, options?: AbortOptions): Promise<void> {
    const body = record as Uint8Array<ArrayBuffer>
    const request = { method: 'PUT', headers: { 'content-type': IPNS_RECORD }, body }
    const answer = await this.#ask(`ipns/${peerCid(name)}`, request, options)
    if (answer === undefined) throw new RoutingError('the service keeps no records', 404)
    await answer.body?.cancel()
  }

  async *#peers(
    path: string,
    list: string,
    options?: AbortOptions,
  ): AsyncGenerator<RoutedPeer, void, undefined> {
    const accept = `${NDJSON}, application/json;q=0.9`
    const filtered = this.#filters === '' ? path : `${path}?${this.#filters}`
    const answer = await this.#ask(filtered, { headers: { accept } }, options)
    if (answer === undefined) return
    if (!isOf(answer, NDJSON)) {
      const text = new TextDecoder().decode(await whole(answer, MAX_JSON))
      const found = (json(text) as Record<string, unknown> | null)?.[list]
      for (const item of Array.isArray(found) ? found : []) yield* peerOf(item)
      return
    }
    for await (const line of lines(answer)) yield* peerOf(json(line))
  }

  /** The answer; `undefined` for "there is none". */
  async #ask(path: string, request: RequestInit, options?: AbortOptions): Promise<Response | undefined> {
    options?.signal?.throwIfAborted()
    const late = AbortSignal.timeout(this.#timeout)
    const signal = options?.signal === undefined ? late : AbortSignal.any([options.signal, late])
    let answer: Response
    try {
      answer = await this.#fetch(new URL(`/routing/v1/${path}`, this.#base), { ...request, signal })
    } catch (cause) {
      options?.signal?.throwIfAborted()
      throw new RoutingError(`${this.#base.origin} did not answer`, undefined, { cause })
    }
    if (answer.ok) return answer
    if (answer.status === 404) {
      await answer.body?.cancel()
      return undefined
    }
    const reason = new TextDecoder().decode(await whole(answer, 1024).catch(() => new Uint8Array()))
    throw new RoutingError(`${this.#base.origin}: ${reason || answer.statusText}`, answer.status)
  }
}

function isOf(answer: Response, type: string): boolean {
  return answer.headers.get('content-type')?.startsWith(type) === true
}

async function* parts(answer: Response): AsyncGenerator<Uint8Array> {
  if (answer.body === null) return
  const reader = answer.body.getReader()
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      yield value
    }
  } catch (cause) {
    // The signal's own reason, or a timeout, or a connection that broke.
    if ((cause as Error)?.name === 'AbortError') throw cause
    throw new RoutingError('the answer broke off', answer.status, { cause })
  } finally {
    await reader.cancel().catch(() => {})
  }
}

async function whole(answer: Response, max: number): Promise<Uint8Array> {
  const read: Uint8Array[] = []
  let length = 0
  for await (const part of parts(answer)) {
    length += part.length
    if (length > max) throw new RoutingError(`the answer is longer than ${max} bytes`, answer.status)
    read.push(part)
  }
  const bytes = new Uint8Array(length)
  let at = 0
  for (const part of read) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

async function* lines(answer: Response): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const part of parts(answer)) {
    const pieces = (rest + decoder.decode(part, { stream: true })).split('\n')
    rest = pieces.pop() ?? ''
    if (rest.length > MAX_JSON) throw new RoutingError('a line of the answer is too long', answer.status)
    for (const line of pieces) if (line.trim() !== '') yield line
  }
  if (rest.trim() !== '') yield rest
}

function json(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new RoutingError('the answer is not JSON', undefined, { cause })
  }
}

/** The peer that a record is about, if it is about one: schemas that are unknown are passed over. */
function* peerOf(item: unknown): Generator<RoutedPeer> {
  const { ID: peer, Addrs, Protocols, Protocol } = (item ?? {}) as Record<string, unknown>
  if (typeof peer !== 'string' || peer === '') return
  const texts = (list: unknown): string[] =>
    Array.isArray(list) ? list.filter((one): one is string => typeof one === 'string') : []
  const protocols = typeof Protocol === 'string' ? [Protocol] : texts(Protocols)
  yield { peer, addresses: texts(Addrs), protocols }
}
